"""Export: documents and their mentions as a file, written in a thread that can be cancelled at any word."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from io import BytesIO

from starlette.exceptions import HTTPException
from starlette.requests import Request

from entsemble._lib.cancellation import CancelCheck, until_cancelled
from entsemble._lib.temporary import temporary_folder
from entsemble.data.formats import write
from entsemble.errors import DataError, MissingExtraError
from entsemble.server import schemas
from entsemble.server.admission import AdmissionQueue
from entsemble.server.limits import Limits
from entsemble.server.work import WorkThreads, while_connected
from entsemble.types import Document


@dataclass(frozen=True, slots=True)
class ExportHandler:
    """Handles requests to `/v1/export`.

    Attributes:
        limits: what is accepted.
        queue: admission control.
        threads: where files are written.
    """

    limits: Limits
    queue: AdmissionQueue
    threads: WorkThreads

    async def file(self, body: schemas.ExportIn, export_format: str, request: Request) -> tuple[bytes, str]:
        """Content and name suffix of the file; a zip archive if the format writes several files.

        Raises:
            HTTPException: the format cannot represent the documents, it took too long, or the client disconnected.
            QueueFullError: too many exports are waiting, or the server is stopping.
            TooLargeError: a limit is exceeded.
            InvalidMentionError: a mention is not in its text.
        """
        self.limits.check_document_count(len(body.documents))

        def documents() -> Iterable[Document]:
            numbered = enumerate(until_cancelled(body.documents), 1)
            return [document.document(number, self.limits) for number, document in numbered]

        return await self.documents_file(documents, export_format, request)

    async def documents_file(
        self, documents: Callable[[], Iterable[Document]], export_format: str, request: Request
    ) -> tuple[bytes, str]:
        """Content and name suffix of a file of the documents that a function returns; raises as `file` does."""

        def export(_: CancelCheck) -> tuple[bytes, str]:
            return _write_file(until_cancelled(documents()), export_format)

        async def wait_for_file() -> tuple[bytes, str]:
            async with self.queue.slot(self.limits.timeout_seconds):
                return await self.threads.result(export)

        try:
            return await while_connected(request, wait_for_file())
        except TimeoutError as error:
            raise HTTPException(504, "the export waited for too long; try again later") from error
        except DataError as error:
            raise HTTPException(409, error.problem) from error
        except MissingExtraError as error:
            raise HTTPException(409, str(error)) from error


def _write_file(documents: Iterable[Document], export_format: str) -> tuple[bytes, str]:
    with temporary_folder() as folder:
        path = folder / f"entities.{export_format}"
        write(documents, path, export_format)
        if path.is_file():
            return path.read_bytes(), export_format
        buffer = BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in sorted(path.iterdir()):
                archive.write(file, file.name)
        return buffer.getvalue(), "zip"
