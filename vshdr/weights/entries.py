"""Weights that can be had by a name: files inside a package, and files that can be downloaded."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import platformdirs

PACKAGED = Path(__file__).parent
"""Folder of the weights that are part of vshdr."""


def folder() -> Path:
    """Return the folder of downloads: `weights` in the user's cache folder for vshdr, or in the folder that the
    environment variable `VSHDR_CACHE` names.
    """
    return Path(os.environ.get("VSHDR_CACHE") or platformdirs.user_cache_path("vshdr")) / "weights"


@dataclass(frozen=True, kw_only=True)
class Entry(ABC):
    """A file of weights that has a name."""

    name: str
    """The name that users ask for."""
    licence: str
    """SPDX identifier, and what it covers where that is not plain."""
    source: str
    """The publication or repository that it comes from."""
    summary: str
    """What distinguishes it from the model's other weights, in a few words."""

    @property
    @abstractmethod
    def path(self) -> Path:
        """The file, which may not be there yet."""


@dataclass(frozen=True, kw_only=True)
class Packaged(Entry):
    """A file of weights that is part of a package."""

    file: Path
    """Where the package has it."""

    @property
    def path(self) -> Path:
        return self.file


@dataclass(frozen=True, kw_only=True)
class Download(Entry):
    """A file of weights that somebody published."""

    url: str
    """Where it is downloaded from."""
    size: int
    """In bytes. Exact where `sha256` is given, else the bytes that its tensors need."""
    sha256: str = ""
    """Its SHA-256 in hexadecimal; "" where none is published. The first download is then trusted and recorded."""

    @property
    def path(self) -> Path:
        """Where it lies once it is downloaded: in the cache, under its own name with the suffix of the URL."""
        return folder() / (self.name + PurePosixPath(urlsplit(self.url).path).suffix)
