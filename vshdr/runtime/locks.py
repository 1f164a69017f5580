"""Locks on files, so that two processes never write the same one."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import BinaryIO

from vshdr.errors import FileError


def open_locked(path: Path, busy: str) -> BinaryIO:
    """Open a file at its end, made if it is not there, and lock it: no other process can until it is closed.

    Raise FileError with the message `busy` where another process has locked it, OSError where it cannot be opened.
    """
    file = path.open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise FileError(busy) from error
    return file
