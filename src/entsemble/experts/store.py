"""The expert store: a folder of PEFT adapter folders, each with a card."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from filelock import FileLock
from pydantic import ValidationError

from entsemble._lib.atomic import recover, replacing
from entsemble._lib.digest import RememberedChecksums, sha256
from entsemble._lib.regular import regular_status
from entsemble.errors import ConfigError, DataError, EntsembleError, UnknownNameError
from entsemble.experts.card import CARD_FILE, NAME_PATTERN, NAME_RULE, Card, CardSummary, load_card, save_card
from entsemble.experts.peft_folder import CONFIG_FILE, WEIGHTS_FILE, Adapter, load_adapter, load_configuration

AnyCard = TypeVar("AnyCard", Card, CardSummary)

EXPERT_FILES = (CONFIG_FILE, WEIGHTS_FILE)
"""The files in an expert's folder beside its card; other files of an added folder are not copied."""

_LOCK_FILE = ".lock"
_CHECKSUMS_FILE = ".checksums.json"
"""Remembers checksums of the experts' files, so that a list of many experts does not read all their weights."""

_REMOVED_PREFIX = ".expert-removing-"
"""Begins the names of folders that are being removed; names of experts do not begin with a dot."""


@dataclass(frozen=True, slots=True)
class Expert:
    """A stored expert.

    Attributes:
        card: its card.
        folder: the PEFT adapter folder.
        shipped: whether it came with entsemble.
    """

    card: Card
    folder: Path
    shipped: bool = False


@dataclass(frozen=True, slots=True)
class ExpertSummary:
    """What a list shows of an expert; see `Expert`."""

    card: CardSummary
    shipped: bool


class ExpertStore:
    """The experts on this machine.

    Args:
        root: folder of the user's experts; created with the first one.
        shipped: folder of the experts that came with entsemble, read-only.
    """

    def __init__(self, root: Path, shipped: Path | None = None) -> None:
        self.root, self._shipped = root, shipped

    def names(self) -> tuple[str, ...]:
        """The names of all experts, sorted."""
        return tuple(sorted(self._folders()))

    def load_intact(self, names: Iterable[str] | None = None) -> tuple[list[Expert], dict[str, DataError]]:
        """The experts of these names, or all.

        The checksum of a file whose size, times and inode are those of an earlier call is not computed again;
        `load_checked_adapter` always computes it.

        Returns:
            The intact experts, in order, and the errors of the others by name.

        Raises:
            UnknownNameError: there is no expert with one of the names.
        """
        checksums = RememberedChecksums(self.root / _CHECKSUMS_FILE)
        loaded, errors = self._load_all(names, lambda folder: _load(folder, checksums.sha256))
        checksums.save()
        return [Expert(card, folder, folder.parent == self._shipped) for card, folder in loaded], errors

    def summarize_intact(self) -> tuple[list[ExpertSummary], dict[str, DataError]]:
        """As `load_intact`, for all experts; a card that did not change is not even read.

        Files that were never read are not read for this, either, unless they are empty: whoever uses them checks them.
        """
        checksums = RememberedChecksums(self.root / _CHECKSUMS_FILE)

        def load(folder: Path) -> CardSummary:
            return _load_summary(folder, checksums)

        loaded, errors = self._load_all(None, load)
        checksums.save()
        return [ExpertSummary(summary, folder.parent == self._shipped) for summary, folder in loaded], errors

    def get(self, name: str) -> Expert:
        """An expert, after checking its files against its card.

        Raises:
            UnknownNameError: there is no expert with that name.
            DataError: its folder is incomplete, or a file is not the one that was added.
        """
        card, folder = self._load_unless_replaced(name, lambda folder: _load(folder, sha256))
        return Expert(card, folder, folder.parent == self._shipped)

    def _load_all(
        self, names: Iterable[str] | None, load: Callable[[Path], AnyCard]
    ) -> tuple[list[tuple[AnyCard, Path]], dict[str, DataError]]:
        loaded: list[tuple[AnyCard, Path]] = []
        errors: dict[str, DataError] = {}
        for name in self.names() if names is None else names:
            try:
                loaded.append(self._load_unless_replaced(name, load))
            except DataError as error:  # noqa: PERF203 - a broken expert must not hide the others
                errors[name] = error
            except UnknownNameError:
                if names is not None:
                    raise  # otherwise, another process removed it meanwhile
        return loaded, errors

    def _load_unless_replaced(self, name: str, load: Callable[[Path], AnyCard]) -> tuple[AnyCard, Path]:
        """The card of an expert, and its folder; once more if another process replaces it meanwhile."""
        while True:
            folder = self._find_folder(name)
            identity_before = _card_identity(folder)
            try:
                return load(folder), folder
            except DataError:
                if _card_identity(folder) == identity_before and self._folder(name) is not None:
                    raise

    def add(self, folder: Path, card: Card, *, replace: bool = False) -> Expert:
        """Copy a PEFT adapter folder into the store, completely or not at all.

        Args:
            folder: a PEFT adapter folder.
            card: its card; the checksums are computed here.
            replace: whether an expert with the same name is replaced.

        Raises:
            ConfigError: the name exists already, or is not valid.
            DataError: the folder is not an adapter that can be an expert, does not match its card, or cannot be
                written.
        """
        load_configuration(folder)
        with self._locked():
            self.check_name(card.name, replace=replace)
            target = self.root / card.name
            if target.is_symlink():
                raise ConfigError(f"{target} is a link, and what it points to stays; remove {card.name} first")
            try:
                with replacing(target) as new_folder:
                    new_folder.mkdir()
                    for file_name in EXPERT_FILES:
                        _copy_adapter_file(folder / file_name, new_folder / file_name)
                    _check_files(new_folder, card, display_path=folder)
                    load_adapter(new_folder, display_path=folder)
                    checksums = {file_name: _file_sha256(new_folder / file_name) for file_name in EXPERT_FILES}
                    stored_card = card.model_copy(update={"files": checksums})
                    save_card(stored_card, new_folder)
            except OSError as error:
                raise DataError(
                    f"{card.name} cannot be stored ({error.strerror}); nothing was changed", self.root
                ) from error
            return Expert(stored_card, target)

    def remove(self, name: str) -> None:
        """Remove an expert.

        Raises:
            UnknownNameError: there is no expert with that name.
            ConfigError: it came with entsemble.
        """
        with self._locked():
            folder = self._find_folder(name)
            if folder.parent == self._shipped:
                raise ConfigError(
                    f"{name} came with entsemble and cannot be removed; to leave it out, name the experts to use"
                )
            removed = Path(tempfile.mkdtemp(prefix=_REMOVED_PREFIX, dir=self.root))
            folder.rename(removed / name)
        shutil.rmtree(removed, ignore_errors=True)

    def export(self, name: str, target: Path) -> Path:
        """Copy an expert to a new folder, for PEFT, vLLM or another store.

        Raises:
            DataError: `target` exists, or cannot be written.
        """
        expert = self.get(name)
        if target.exists():
            raise DataError("it exists already; name a new folder", target)
        try:
            with replacing(target) as new_folder:
                new_folder.mkdir()
                for file_name in (*EXPERT_FILES, CARD_FILE):
                    shutil.copyfile(expert.folder / file_name, new_folder / file_name)
        except OSError as error:
            raise DataError(f"cannot be written ({error.strerror}); nothing was kept", target) from error
        return target

    def check_name(self, name: str, *, replace: bool) -> None:
        """Check that an expert of this name can be added.

        Raises:
            ConfigError: the name exists already, or is not valid.
        """
        if not NAME_PATTERN.fullmatch(name):
            raise ConfigError(f"{name!r} is not a valid expert name: {NAME_RULE}")
        if self._folder(name) is not None and not replace:
            raise ConfigError(f"there is an expert {name!r} already; choose another name, or replace it")

    def _folders(self) -> Mapping[str, Path]:
        """Name -> folder; the user's experts take precedence over shipped ones."""
        folders: dict[str, Path] = {}
        for root in filter(None, (self._shipped, self.root)):
            if root.is_dir():
                folders |= {
                    path.name: path
                    for path in sorted(root.iterdir())
                    if NAME_PATTERN.fullmatch(path.name) and path.is_dir()
                }
        return folders

    def _find_folder(self, name: str) -> Path:
        folder = self._folder(name)
        if folder is None:
            raise UnknownNameError("expert", name, self._folders())
        return folder

    def _folder(self, name: str) -> Path | None:
        """The folder of one expert, without a look at the others; see `_folders`."""
        if not NAME_PATTERN.fullmatch(name):
            return None
        roots = filter(None, (self.root, self._shipped))
        return next((root / name for root in roots if (root / name).is_dir()), None)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Exclusive access for one change; first cleans up after changes that were killed."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with FileLock(self.root / _LOCK_FILE):
                recover(self.root)
                for removed in self.root.glob(f"{_REMOVED_PREFIX}*"):
                    shutil.rmtree(removed, ignore_errors=True)
                yield
        except EntsembleError:
            raise
        except OSError as error:
            raise DataError(
                f"experts cannot be stored here ({error.strerror}); name another folder", self.root
            ) from error


def load_checked_adapter(expert: Expert) -> Adapter:
    """The adapter of an expert.

    Raises:
        DataError: its files are not the ones that its card describes.
    """
    adapter = load_adapter(expert.folder)
    _check_files(expert.folder, expert.card)  # after loading: another process may replace the expert at any time
    return adapter


def _load(folder: Path, checksum: Callable[[Path], str]) -> Card:
    """The card in a folder, after a check of the files that it describes.

    Raises:
        DataError: it is not valid, or does not describe the files.
    """
    card = load_card(folder)
    _check_card(folder, card, checksum)
    return card


def _load_summary(folder: Path, checksums: RememberedChecksums) -> CardSummary:
    """As `_load`, the summary."""
    try:
        stored = checksums.summary(folder / CARD_FILE, lambda: CardSummary.of(load_card(folder)).model_dump_json())
        summary = CardSummary.model_validate_json(stored)
    except (OSError, ValidationError):  # no card, or a memory that something else has written
        summary = CardSummary.of(load_card(folder))

    def listed_sha256(path: Path) -> str:
        is_read = checksums.is_known(path) or regular_status(path).st_size == 0
        return checksums.sha256(path) if is_read else summary.files[path.name]

    _check_card(folder, summary, listed_sha256)
    return summary


def _check_card(folder: Path, card: Card | CardSummary, checksum: Callable[[Path], str]) -> None:
    if card.name != folder.name:
        raise DataError("its card is of another expert; get the expert again", folder)
    if set(card.files) != set(EXPERT_FILES):
        raise DataError("its card promises other files; get the expert again", folder)
    _check_files(folder, card, checksum=checksum)


def _card_identity(folder: Path) -> tuple[int, int, int] | None:
    try:
        status = (folder / CARD_FILE).stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def _check_files(
    folder: Path, card: Card | CardSummary, display_path: Path | None = None, checksum: Callable[[Path], str] = sha256
) -> None:
    """Check the files of an expert against the checksums in its card.

    Raises:
        DataError: one differs; the message shows it in `display_path` instead of `folder`.
    """
    for file_name, expected in card.files.items():
        if _file_sha256(folder / file_name, checksum) != expected:
            raise DataError(
                "it is not the file that its card promises; get the expert again", (display_path or folder) / file_name
            )


def _copy_adapter_file(source: Path, target: Path) -> None:
    try:
        regular_status(source)
        shutil.copyfile(source, target)
    except FileNotFoundError as error:
        raise DataError(f"not an adapter: it has no {source.name}", source.parent) from error


def _file_sha256(path: Path, checksum: Callable[[Path], str] = sha256) -> str:
    try:
        return checksum(path)
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror}); remove the expert and add it again", path) from error
