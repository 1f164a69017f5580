"""What vshdr raises, and the one sentence that a user is told.

    VshdrError
    ├── InputError (ValueError)               an input, an option or a file's content does not fit
    │   └── MissingPackageError               an option needs a package, or an encoder of FFmpeg, that is not installed
    ├── FileError (OSError)                   a file is missing, locked, or cannot be written
    │   └── OutputExistsError (FileExistsError)   it exists, and was not to be replaced
    ├── DownloadError (OSError)               weights could not be downloaded, or are not what was expected
    ├── BuildError (RuntimeError)             a native library is of another build than the package
    ├── DeviceError (RuntimeError)            a device is not there, or cannot do what was asked
    │   └── OutOfMemoryError                  its memory is too small
    ├── NotFiniteError (RuntimeError)         a network gave NaN or infinity, or its training diverged
    ├── EncodeError (RuntimeError)            an encoder or a muxer failed
    └── VerificationError (RuntimeError)      a finished file is not what was meant

Each is also the built-in error in parentheses, so `except ValueError` works as well as `except InputError`. What the
system itself refuses (no permission, a full disk) stays the OSError that Python makes of it. Every message is one
sentence for the user: what is wrong, and what to do.

    from vshdr import convert
    from vshdr.errors import VshdrError, sentence

    try:
        convert("in.mkv", "out.mkv")
    except (VshdrError, OSError) as error:
        print(sentence(error))
"""

from __future__ import annotations

__all__ = [
    "BuildError",
    "DeviceError",
    "DownloadError",
    "EncodeError",
    "FileError",
    "InputError",
    "MissingPackageError",
    "NotFiniteError",
    "OutOfMemoryError",
    "OutputExistsError",
    "VerificationError",
    "VshdrError",
    "reason",
    "sentence",
]


class VshdrError(Exception):
    """Any error that vshdr raises by itself."""


class InputError(VshdrError, ValueError):
    """An input, an option or a file's content does not fit."""


class MissingPackageError(InputError):
    """An option needs a package, or an encoder of FFmpeg, that is not installed. The message says how to get it."""


class FileError(VshdrError, OSError):
    """A file is missing, locked by another process, or cannot be written."""


class OutputExistsError(FileError, FileExistsError):
    """A file that was to be written exists, and was not to be replaced."""


class DownloadError(VshdrError, OSError):
    """Weights could not be downloaded, or what came is not what was expected."""


class BuildError(VshdrError, RuntimeError):
    """A native library is of another build than the package."""


class DeviceError(VshdrError, RuntimeError):
    """A device is not there, or cannot do what was asked."""


class OutOfMemoryError(DeviceError):
    """A device's memory is too small."""


class NotFiniteError(VshdrError, RuntimeError):
    """A network gave NaN or infinity, or its training diverged."""


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
    if text and isinstance(error, (VshdrError, ValueError, OSError, RuntimeError)):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def reason(error: Exception) -> str:
    """Return what the system or FFmpeg says of `error`, in lower case, to be put into a sentence of ours.

    The file's name and the number of the error are left out.
    """
    return (getattr(error, "strerror", None) or str(error)).lower()
