"""A catalogue of weights: finding, listing and fetching them by name. Which there are, the models say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vshdr.errors import FileError, InputError
from vshdr.weights.download import Progress, fetch, recorded_sha256
from vshdr.weights.entries import Download, Entry, Packaged


@dataclass(frozen=True, kw_only=True)
class Status:
    """What there is to say about one entry, a line of `vshdr weights list`."""

    name: str
    """The name that users ask for."""
    model: str
    """The model that it fits."""
    summary: str
    """What distinguishes it from the model's other weights."""
    size: int
    """In bytes; of the file that is here, or else of the one that can be downloaded."""
    exact: bool
    """Whether `size` is that of a file. If not, it is the bytes that the tensors need."""
    licence: str
    """SPDX identifier, and what it covers where that is not plain."""
    checksum: str
    """How the file is checked. "packaged": not at all, it is part of a package; "published": against the catalogue's
    SHA-256; "recorded": against the SHA-256 of the first download; "none": nothing is known yet."""
    path: Path | None
    """Where it lies; None if it has not been fetched."""

    @property
    def size_text(self) -> str:
        """The size for a person: "1.8 MB", "about 118 MB"."""
        megabytes = self.size / 1e6
        text = f"{megabytes:.1f} MB" if megabytes < 10 else f"{megabytes:.0f} MB"
        return text if self.exact else f"about {text}"


class Catalogue:
    """Entries of weights by their names, and which model each is for."""

    def __init__(self, entries: Mapping[str, Sequence[Entry]]) -> None:
        """Take the entries of each model by the model's name, its default first."""
        self._of = {model: {entry.name: entry for entry in own} for model, own in entries.items()}
        self._all = {name: (model, entry) for model, own in self._of.items() for name, entry in own.items()}

    def find(self, name: str) -> Download:
        """Return what can be downloaded as `name`. Raise InputError for an unknown name, and for packaged weights."""
        _, entry = self._all.get(name, (None, None))
        if isinstance(entry, Download):
            return entry
        if entry:
            raise InputError(f"the weights '{name}' are packaged; there is nothing to fetch")
        known = [name for name, (_, entry) in self._all.items() if isinstance(entry, Download)]
        raise InputError(f"unknown weights '{name}'; the catalogue has {', '.join(known)}")

    def fetch(self, name: str, *, progress: Progress | None = None) -> Path:
        """Download the weights `name`, unless they are here, and return where they lie.

        Raise InputError as `find` does, DownloadError where the download fails or is not what it should be, and OSError
        where it cannot be written.
        """
        return fetch(self.find(name), progress=progress)

    def locate(self, name_or_path: str, model: str) -> Path:
        """Return the file of weights that the user means with `name_or_path` for `model`.

        That is a file, or a name of the catalogue; "" takes the model's first entry. Raise InputError for what is
        neither and for weights of another model, FileError for weights that are not fetched yet.
        """
        path = Path(name_or_path)
        if name_or_path and path.is_file():
            return path
        own = self._of[model]
        if not name_or_path:
            if not own:
                raise InputError(f"{model} has no weights of its own; train some with vshdr train, and name the file")
            name_or_path = next(iter(own))
        if name_or_path not in self._all:
            raise InputError(self._unknown(path, own))
        fits, entry = self._all[name_or_path]
        if fits != model:
            raise InputError(f"weights '{name_or_path}' are for {fits}, not for {model}")
        if not entry.path.is_file():
            if isinstance(entry, Download):
                remedy = f"run: vshdr weights fetch {entry.name}"
            else:
                remedy = f"install their package again, for {entry.path} is missing"
            raise FileError(f"the weights '{entry.name}' of {model} are not here; {remedy}")
        return entry.path

    def status(self) -> list[Status]:
        """Return what is known of every entry, packaged ones first."""
        ordered = sorted(self._all.values(), key=lambda item: not isinstance(item[1], Packaged))
        return [_status(model, entry) for model, entry in ordered]

    @staticmethod
    def _unknown(path: Path, own: Mapping[str, Entry]) -> str:
        """Return the sentence about a name that is neither a file nor known; `own` are the model's entries."""
        if path.suffix or len(path.parts) > 1:
            return f"there is no file {path}"
        if own:
            return f"'{path}' is neither a file nor known weights; choose from {', '.join(own)}, or name a file"
        return f"'{path}' is not a file, and the model has no weights by name; train some with vshdr train"


def _status(model: str, entry: Entry) -> Status:
    path = entry.path if entry.path.is_file() else None
    size, exact, checksum = 0, True, "packaged"
    if isinstance(entry, Download):
        size, exact = entry.size, bool(entry.sha256)
        checksum = "published" if entry.sha256 else "recorded" if recorded_sha256(entry) else "none"
    if path:
        size, exact = path.stat().st_size, True
    return Status(
        name=entry.name,
        model=model,
        summary=entry.summary,
        size=size,
        exact=exact,
        licence=entry.licence,
        checksum=checksum,
        path=path,
    )
