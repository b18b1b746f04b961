"""A folder of experts: each a PEFT adapter folder with a card. They come and go without touching one another."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from entsemble._lib.atomic import sync
from entsemble._lib.digest import sha256
from entsemble.errors import ConfigError, DataError, EntsembleError, UnknownNameError
from entsemble.experts import card, peft_folder
from entsemble.experts.card import Card
from entsemble.experts.peft_folder import Adapter

EXPERT_FILES = (peft_folder.CONFIG_FILE, peft_folder.WEIGHTS_FILE)
"""What an expert's folder holds beside its card; whatever else a given folder holds is not taken over."""

_AT_WORK = "."
"""First character of folders that are being made or removed; no expert is called so."""

_ADDING, _REMOVING, _REPLACING = (f"{_AT_WORK}expert-{what}-" for what in ("adding", "removing", "replacing"))


@dataclass(frozen=True, slots=True)
class Expert:
    """An expert that is kept: its card, and the folder that PEFT loads."""

    card: Card
    folder: Path
    shipped: bool = False


class ExpertStore:
    """The experts of a machine.

    Args:
        root: where they are kept; made when the first comes.
        shipped: folder of the experts that came with entsemble, which is only read.
    """

    def __init__(self, root: Path, shipped: Path | None = None) -> None:
        self.root, self._shipped = root, shipped

    def names(self) -> tuple[str, ...]:
        """All experts, in order."""
        return tuple(sorted(self._folders()))

    def whole(self, names: Iterable[str] | None = None) -> tuple[list[Expert], dict[str, DataError]]:
        """The experts of these names, or all: those that are whole, in order, and what is wrong with the others.

        Raises:
            UnknownNameError: there is none of a name.
        """
        found, broken = [], {}
        for name in self.names() if names is None else names:
            try:
                found.append(self.get(name))
            except DataError as error:  # noqa: PERF203 - one that is broken hides no other
                broken[name] = error
            except UnknownNameError:
                if names is not None:
                    raise  # else it was removed while we looked
        return found, broken

    def get(self, name: str) -> Expert:
        """An expert, its files checked against its card.

        Raises:
            UnknownNameError: there is none of that name.
            DataError: its folder is incomplete, or a file is not the one that was added.
        """
        while True:
            folders = self._folders()
            if name not in folders:
                raise UnknownNameError("expert", name, folders)
            folder = folders[name]
            before = _written(folder)
            try:
                known = card.load_card(folder)
                if known.name != name or set(known.files) != set(EXPERT_FILES):
                    told = "its card is of another expert" if known.name != name else "its card promises other files"
                    raise DataError(f"{told}; get the expert again", folder)
                _check(folder, known)
            except DataError:
                if _written(folder) != before or name not in self._folders():
                    continue  # it was replaced or removed while we looked
                raise
            return Expert(known, folder, folder.parent == self._shipped)

    def add(self, folder: Path, told: Card, *, replace: bool = False) -> Expert:
        """Take over a PEFT adapter folder.

        Either the whole expert is there afterwards, or nothing of it.

        Args:
            folder: as PEFT writes it.
            told: its card; the checksums in it are made here.
            replace: put it in the place of one of that name.

        Raises:
            ConfigError: there is one of that name already, or the name cannot be one.
            DataError: the folder is no adapter that can be an expert, or not what its card says, or cannot be kept.
        """
        peft_folder.load_configuration(folder)
        with self._changing():
            self.check_name(told.name, replace=replace)
            work = Path(tempfile.mkdtemp(prefix=_ADDING, dir=self.root))
            try:
                for file in EXPERT_FILES:
                    _copied(folder / file, work / file)
                _check(work, told, shown=folder)
                peft_folder.load_adapter(work, shown=folder)
                kept = told.model_copy(update={"files": {f: _sha256(work / f) for f in EXPERT_FILES}})
                card.save_card(kept, work)
                for path in (*work.iterdir(), work):
                    sync(path)
                self._into_place(work, self.root / told.name)
            except OSError as error:
                raise DataError(
                    f"{told.name} cannot be kept ({error.strerror}); nothing was changed", self.root
                ) from error
            finally:
                shutil.rmtree(work, ignore_errors=True)
            return Expert(kept, self.root / told.name)

    def remove(self, name: str) -> None:
        """Take an expert away; no other is touched.

        Raises:
            UnknownNameError: there is none of that name.
            ConfigError: it came with entsemble.
        """
        with self._changing():
            folders = self._folders()
            if name not in folders:
                raise UnknownNameError("expert", name, folders)
            if folders[name].parent == self._shipped:
                raise ConfigError(f"{name} came with entsemble and stays; leave it out by naming those to use")
            gone = Path(tempfile.mkdtemp(prefix=_REMOVING, dir=self.root))
            folders[name].rename(gone / name)
        shutil.rmtree(gone, ignore_errors=True)

    def export(self, name: str, target: Path) -> Path:
        """Copy an expert to `target`, a folder that is not there yet, for PEFT, vLLM or another store.

        Raises:
            DataError: it is there already, or cannot be written.
        """
        expert = self.get(name)
        if target.exists():
            raise DataError("it is there already; name a folder that is not", target)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            work = Path(tempfile.mkdtemp(prefix=f"{_AT_WORK}{target.name}-", dir=target.parent))
            try:
                for file in (*EXPERT_FILES, card.CARD_FILE):
                    shutil.copyfile(expert.folder / file, work / file)
                work.chmod(0o755)
                work.rename(target)
            finally:
                shutil.rmtree(work, ignore_errors=True)
        except OSError as error:
            raise DataError(f"cannot be written ({error.strerror}); nothing was kept", target) from error
        return target

    def _folders(self) -> Mapping[str, Path]:
        """Name -> folder; an own expert stands before one of the same name that was shipped."""
        found: dict[str, Path] = {}
        for root in filter(None, (self._shipped, self.root)):
            if root.is_dir():
                found |= {
                    p.name: p for p in sorted(root.iterdir()) if card.NAME_PATTERN.fullmatch(p.name) and p.is_dir()
                }
        return found

    def check_name(self, name: str, *, replace: bool) -> None:
        """Whether an expert may be called so.

        Raises:
            ConfigError: there is one of that name already, or the name cannot be one.
        """
        if not card.NAME_PATTERN.fullmatch(name):
            raise ConfigError(f"{name!r} is no name for an expert: {card.NAME_RULE}")
        if name in self._folders() and not replace:
            raise ConfigError(f"there is an expert {name!r} already; choose another name, or replace it")

    def _into_place(self, work: Path, place: Path) -> None:
        work.chmod(0o755)
        if place.exists():
            old = Path(tempfile.mkdtemp(prefix=_REPLACING, dir=self.root))
            place.rename(old / place.name)  # until the next line is done, `_changing` puts it back after a kill
            try:
                work.rename(place)
            except OSError:
                (old / place.name).rename(place)
                raise
            shutil.rmtree(old, ignore_errors=True)
        else:
            work.rename(place)
        sync(self.root)

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """One change at a time; what a killed one left half done is cleared away."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with FileLock(self.root / f"{_AT_WORK}lock"):
                for old in self.root.glob(f"{_REPLACING}*/*"):
                    if not (self.root / old.name).exists():
                        old.rename(self.root / old.name)
                for what in (_ADDING, _REMOVING, _REPLACING):
                    for left_over in self.root.glob(f"{what}*"):
                        shutil.rmtree(left_over, ignore_errors=True)
                yield
        except EntsembleError:
            raise
        except OSError as error:
            raise DataError(
                f"experts cannot be kept here ({error.strerror}); name another folder", self.root
            ) from error


def load_checked_adapter(expert: Expert) -> Adapter:
    """What an expert changes.

    Raises:
        DataError: its files are not those that its card was read with.
    """
    found = peft_folder.load_adapter(expert.folder)
    _check(expert.folder, expert.card)  # afterwards: another process may replace it at any time
    return found


def _written(folder: Path) -> bytes | None:
    """The card as it lies there."""
    try:
        return (folder / card.CARD_FILE).read_bytes()
    except OSError:
        return None


def _check(folder: Path, told: Card, shown: Path | None = None) -> None:
    """Whether the files are those of the card.

    Raises:
        DataError: one is not; says so of the one in `shown`.
    """
    for file, promised in told.files.items():
        if _sha256(folder / file) != promised:
            place = (shown or folder) / file
            raise DataError("it is not the file that its card promises; get the expert again", place)


def _copied(source: Path, target: Path) -> None:
    try:
        shutil.copyfile(source, target)
    except FileNotFoundError as error:
        raise DataError(f"no adapter: it has no {source.name}", source.parent) from error


def _sha256(path: Path) -> str:
    try:
        return sha256(path)
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror}); remove the expert and add it again", path) from error
