"""Reading files of weights without running what is in them, and writing safetensors.

PyTorch files are read by PyTorch's weights-only loader. NumPy files may hold a pickle; an unpickler that can build
arrays and nothing else reads it.
"""

from __future__ import annotations

import hashlib
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy._core.multiarray as multiarray
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from vshdr.errors import InputError
from vshdr.runtime.files import atomic_write

# Keys under which training programs store the tensors, beside optimiser states and the like.
_WRAPPERS = ("state_dict", "model", "model_state_dict", "params", "net")


def read(path: str | Path) -> dict[str, Tensor]:
    """Return the tensors of a `.safetensors`, `.pth`, `.pt`, `.ckpt` or `.npz` file by name, in float32 on the CPU.

    An .npz that holds one list of arrays gives tensors named "0", "1" and so on. Raise OSError where the file cannot be
    opened, and InputError, naming it, where it is damaged, is something else, or holds anything but floats.
    """
    path = Path(path)
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        known = ", ".join(_READERS)
        raise InputError(f"{path} cannot be read as weights: its name must end in one of {known}")
    with path.open("rb") as file:  # a missing or forbidden file shows here, as what it is
        if not file.read(1):
            raise InputError(f"{path} is empty")
    tensors = reader(path)
    if not tensors:
        raise InputError(f"{path} holds no tensors")
    return {name: _float32(tensor, name, path) for name, tensor in tensors.items()}


def write(state: Mapping[str, Tensor], path: Path, model: str, made: Mapping[str, str]) -> None:
    """Write tensors as safetensors, whole or not at all. The metadata are `made`, which says how they came to be, and
    the name of the model that they fit.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    # Not `save_file`, because only the user could read its files, and its errors are of a kind of their own.
    data = save(tensors, {**made, "model": model})
    with atomic_write(path) as part:
        part.write_bytes(data)


def metadata(path: Path) -> dict[str, str]:
    """Return what a safetensors file says about itself; nothing for files of other kinds."""
    if path.suffix.lower() != ".safetensors":
        return {}
    with safe_open(path, "pt") as file:
        return file.metadata() or {}


def sha256(path: Path) -> str:
    """Return the file's SHA-256 in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _float32(tensor: Any, name: str, path: Path) -> Tensor:
    if not isinstance(tensor, Tensor):
        raise InputError(f"{path} holds a {type(tensor).__name__} under '{name}' where a tensor should be")
    if not tensor.is_floating_point():
        dtype = str(tensor.dtype).removeprefix("torch.")
        raise InputError(f"{path} holds {dtype} under '{name}' where floats should be")
    return tensor.to(torch.float32)


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except SafetensorError as error:
        raise InputError(f"{path} is damaged or not a safetensors file ({error})") from error


def _read_torch(path: Path) -> dict[str, Any]:
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "GLOBAL" in str(error):  # the opcode by which a pickle asks for a class or a function
            raise InputError(
                f"{path} is refused: it holds objects other than tensors, and to load them could run code"
            ) from error
        raise InputError(f"{path} is damaged or not a PyTorch file") from error
    except Exception as error:  # what a parser of two formats raises on arbitrary bytes is no closed list
        raise InputError(f"{path} is damaged or not a PyTorch file") from error
    if not isinstance(loaded, dict):
        raise InputError(f"{path} holds a {type(loaded).__name__} where a dictionary of tensors should be")
    for key in _WRAPPERS:
        if isinstance(loaded.get(key), dict):
            loaded = loaded[key]
            break
    names = [str(name) for name in loaded]
    if all(name.startswith("module.") for name in names):  # the mark that training on several GPUs leaves
        names = [name.removeprefix("module.") for name in names]
    return dict(zip(names, loaded.values(), strict=True))


def _read_npz(path: Path) -> dict[str, Any]:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            members = {name.removesuffix(".npy"): _read_npy(archive.open(name)) for name in names}
        if len(members) == 1:
            (only,) = members.values()
            if only.dtype == object:  # a list of arrays; its order is all that says what they are
                members = {str(number): array for number, array in enumerate(only.flatten().tolist())}
        return {name: _to_tensor(array) for name, array in members.items()}
    except _Refused as error:
        raise InputError(
            f"{path} is refused: it holds a pickle that asks for {error}, and only arrays are unpickled"
        ) from error
    except Exception as error:  # as above: zip, NumPy and pickle each raise their own
        reason = str(error) or type(error).__name__
        raise InputError(f"{path} is damaged or not a NumPy file ({reason})") from error


def _to_tensor(array: Any) -> Any:
    """Return an array of numbers as a tensor, and anything else unchanged; `read` then refuses it by its name."""
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiub" or array.dtype.itemsize > 8:
        return array  # the last are NumPy's long doubles, which torch does not have
    return torch.from_numpy(array.astype(array.dtype.newbyteorder("="), order="C"))


def _read_npy(file: IO[bytes]) -> np.ndarray:
    """Return the array in `file`. An array of objects is a pickle, which the restricted unpickler reads."""
    version = np.lib.format.read_magic(file)
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = header(file)
    if dtype.hasobject:
        # NumPy under Python 2 wrote bytes as text; Latin-1 gives them back.
        array = _ArrayUnpickler(file, encoding="latin1").load()
        if not isinstance(array, np.ndarray):
            raise InputError(f"a pickled {type(array).__name__} instead of an array")
        return array
    size = int(np.prod(shape)) * dtype.itemsize
    data = file.read(size)
    if len(data) != size:
        raise InputError("an array is cut short")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")


class _Refused(Exception):
    """A pickle asked for a class or function that is not allowed."""


class _ArrayUnpickler(pickle.Unpickler):
    """An unpickler that builds lists, numbers, text and NumPy arrays, and refuses to call anything else."""

    _ALLOWED = {
        ("numpy.core.multiarray", "_reconstruct"): multiarray._reconstruct,
        ("numpy._core.multiarray", "_reconstruct"): multiarray._reconstruct,
        ("numpy.core.multiarray", "scalar"): multiarray.scalar,
        ("numpy._core.multiarray", "scalar"): multiarray.scalar,
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
    }

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("_codecs", "encode"):
            return _encode_latin1
        if (module, name) not in self._ALLOWED:
            raise _Refused(f"{module}.{name}")
        return self._ALLOWED[module, name]


def _encode_latin1(text: str, encoding: str = "latin1") -> bytes:
    """Return the bytes of an array in an old pickle, as `_codecs.encode` would. Other encodings are refused, because
    looking one up imports a module by its name.
    """
    if encoding != "latin1":
        raise _Refused(f"the encoding {encoding}")
    return text.encode("latin1")


_READERS = {
    ".safetensors": _read_safetensors,
    ".pth": _read_torch,
    ".pt": _read_torch,
    ".ckpt": _read_torch,
    ".npz": _read_npz,
}
