"""Files that appear complete or not at all, and the check that they replace nothing that is needed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator, Iterable
from pathlib import Path

from vshdr.errors import InputError


@contextlib.contextmanager
def atomic_write(path: str | Path) -> Generator[Path]:
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


def check_reports(reports: Iterable[str | None], inputs: Iterable[str]) -> None:
    """Raise InputError where a report could not be written, or would replace an input or another report.

    To be called before the work whose outcome the reports are. An empty name or None stands for a report that is not
    wanted.
    """
    taken = {Path(name).resolve(): f"{name} is an input" for name in inputs if name}
    for name in filter(None, reports):
        path = Path(name).resolve()
        if path in taken:
            raise InputError(f"{taken[path]}; name another file to write to")
        if path.is_dir():
            raise InputError(f"{name}: this is a folder")
        if not path.parent.is_dir():
            raise InputError(f"{name}: there is no such folder")
        taken[path] = f"{name} is named twice"
