"""What vshdr raises, and the one sentence that a user is told.

    VshdrError
    ├── InputError (ValueError)             an input, an option or a file's content does not fit
    ├── DeviceError (RuntimeError)          a device is not there, or cannot do what was asked
    │   └── OutOfMemoryError                its memory is too small
    ├── NotFiniteError (RuntimeError)       a network gave NaN or infinity
    ├── EncodeError (RuntimeError)          an encoder or a muxer failed
    └── VerificationError (RuntimeError)    a finished file is not what was meant

Each is also the built-in error that it refines, so `except ValueError` goes on to work. What the system refuses (a file
that is missing, a full disk) stays an OSError. Every message is a sentence for the user: what is wrong, and what to do.
"""

from __future__ import annotations


class VshdrError(Exception):
    """Any error that vshdr raises by itself."""


class InputError(VshdrError, ValueError):
    """An input, an option or a file's content does not fit."""


class DeviceError(VshdrError, RuntimeError):
    """A device is not there, or cannot do what was asked."""


class OutOfMemoryError(DeviceError):
    """A device's memory is too small."""


class NotFiniteError(VshdrError, RuntimeError):
    """A network gave NaN or infinity."""


class EncodeError(VshdrError, RuntimeError):
    """An encoder or a muxer failed."""


class VerificationError(VshdrError, RuntimeError):
    """A finished file is not what was meant."""


def sentence(error: BaseException) -> str:
    """Return what the user is told of `error`, in one line.

    Sentences of ours are shown as they are, those of the system with the file's name before them. Errors of any other
    kind were not foreseen and keep the name of their class.
    """
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    text = " ".join(str(error).split())
    if text and isinstance(error, (ValueError, OSError, RuntimeError)):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
