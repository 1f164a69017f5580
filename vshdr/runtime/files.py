"""Files that appear whole or not at all, and names for them that take nothing else's place."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from vshdr.errors import InputError


@contextlib.contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Yield a temporary name beside `path` to write to.

    When the block ends, the file there takes the name `path` in one step, replacing what had it. If the block fails,
    the temporary file is deleted and `path` stays as it was.
    """
    path = Path(path)
    part = path.with_name(path.name + ".part")
    try:
        yield part
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def check_reports(reports: Iterable[str], inputs: Iterable[str]) -> None:
    """Raise InputError where files that are to be written (empty: none) would replace an input or each other, or have
    no folder: before the work, not after it.
    """
    taken = {Path(name).resolve(): f"{name} is an input" for name in inputs if name}
    for name in filter(None, reports):
        path = Path(name).resolve()
        if path in taken:
            raise InputError(f"{taken[path]}; name another file to write to")
        if path.is_dir() or not path.parent.is_dir():
            raise InputError(f"{name}: " + ("this is a folder" if path.is_dir() else "there is no such folder"))
        taken[path] = f"{name} is named twice"
