"""Weights of the networks: what can be downloaded, what is here, and reading it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vshdr.errors import FileError, InputError
from vshdr.weights import catalogue
from vshdr.weights.download import fetch, folder, recorded_sha256
from vshdr.weights.files import convert, mean, read, write

__all__ = ["Status", "convert", "fetch", "folder", "locate", "mean", "read", "status", "write"]

_LICENCES = {"gainmap": "BSD-3-Clause AND Apache-2.0 (its encoder was trained on from EfficientNet-Lite2)"}


@dataclass(frozen=True, kw_only=True)
class Status:
    """A line of `vshdr weights list`."""

    name: str
    """The name it is asked for by."""
    model: str
    """The model that it fits."""
    summary: str
    """What sets it apart from the model's other weights."""
    size: int
    """In bytes, of the file that is here, or else of the one that can be downloaded."""
    exact: bool
    """False where `size` is what the tensors must take, and the file has not been seen."""
    licence: str
    """SPDX identifier, and what it covers where that is not plain."""
    checksum: str
    """"packaged" where the file is part of vshdr, "published" where the catalogue knows the SHA-256, "recorded" where
    that of the first download is kept, else "none".
    """
    path: Path | None
    """Where it lies; None if it has not been fetched."""

    @property
    def size_text(self) -> str:
        """The size for a person: "1.8 MB", "about 118 MB"."""
        megabytes = self.size / 1e6
        text = f"{megabytes:.1f} MB" if megabytes < 10 else f"{megabytes:.0f} MB"
        return text if self.exact else f"about {text}"


def status() -> list[Status]:
    """Return what the package has, then all that the catalogue has, and what of it is here."""
    lines = [
        Status(
            name=path.stem,
            model=path.stem,
            summary=f"vshdr's own, what {path.stem} takes unless it is told otherwise",
            size=path.stat().st_size,
            exact=True,
            licence=_LICENCES[path.stem],
            checksum="packaged",
            path=path,
        )
        for path in sorted(catalogue.PACKAGED.glob("*.safetensors"))
    ]
    for entry in catalogue.ENTRIES.values():
        path = folder() / entry.filename
        here = path.is_file()
        checksum = "published" if entry.sha256 else "recorded" if recorded_sha256(entry) else "none"
        lines.append(
            Status(
                name=entry.name,
                model=entry.model,
                summary=entry.summary,
                size=path.stat().st_size if here else entry.size,
                exact=here or bool(entry.sha256),
                licence=entry.licence,
                checksum=checksum,
                path=path if here else None,
            )
        )
    return lines


def locate(name_or_path: str, model: str) -> Path:
    """Return the file that `name_or_path` means for `model`: a file, or a name of the catalogue; "" is the model's own.

    A model's own weights are those inside the package, or else the first of the catalogue. Raise InputError for what
    is neither and for weights of another model, FileError for weights that are not fetched yet.
    """
    path = Path(name_or_path)
    if name_or_path and path.is_file():
        return path
    packaged = catalogue.PACKAGED / f"{model}.safetensors"
    if name_or_path in ("", model) and packaged.is_file():
        return packaged
    known = catalogue.names(model)
    name = name_or_path or (known[0] if known else model)
    if name not in catalogue.ENTRIES:
        if path.suffix or len(path.parts) > 1:
            raise InputError(f"there is no file {path}")
        if not known:
            raise InputError(f"'{name}' is no file, and no weights of {model} can be fetched; train some: vshdr train")
        raise InputError(f"'{name}' is neither a file nor known: the catalogue has, for {model}, {', '.join(known)}")
    entry = catalogue.find(name)
    if entry.model != model:
        raise InputError(f"weights '{name}' are for {entry.model}, not for {model}")
    path = folder() / entry.filename
    if not path.is_file():
        raise FileError(f"the weights '{name}' of {model} are not here; run: vshdr weights fetch {name}")
    return path
