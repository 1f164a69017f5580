"""Reading files of weights without running what is in them, and writing safetensors.

PyTorch files are read by its weights-only loader, and the one pickle that NumPy files may hold by an
unpickler that knows arrays and nothing else.
"""

from __future__ import annotations

import hashlib
import pickle
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from vshdr.errors import InputError, OutputExistsError
from vshdr.runtime.files import atomic_write

if TYPE_CHECKING:
    from vshdr.models.contract import Model

# Where training programs put the tensors among other things.
_WRAPPERS = ("state_dict", "model", "model_state_dict", "params", "net")


def read(path: str | Path) -> dict[str, Tensor]:
    """Return the tensors of a `.safetensors`, `.pth`, `.pt`, `.ckpt` or `.npz` file by name, in float32 on the CPU.

    A list of arrays, as HDRCNN was published, comes back named "0", "1" and so on. Raise OSError where the
    file cannot be opened, and InputError, naming it, where it is damaged, is something else, or holds
    anything but floats.
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


def convert(source: str | Path, target: str | Path, *, half: bool = False) -> str:
    """Write the weights in `source` as safetensors, in this package's own names, and return the model that
    they fit.

    With `half` they are rounded to half precision. The file's metadata say the model, the name of `source` and its
    SHA-256, and all that the metadata of `source` say of its making. Raise InputError where `source`
    fits no network or `target` does not end in .safetensors, OSError where `source` cannot be read,
    OutputExistsError where `target` is there already.
    """
    source, target = _checked(source, target)
    model = _network(source)
    made = _metadata(source) | {"source": source.name, "sha256": sha256(source)}
    write(model.half() if half else model, target, made)
    return model.description.name


def mean(sources: Sequence[str | Path], target: str | Path, *, half: bool = False) -> str:
    """Write the mean of the weights in `sources`, of one network and moments of one training, and return the model.

    What a network learns late it learns of its scenes by heart; the mean of early and late weights keeps what both know
    (Wortsman et al. 2022, "Robust fine-tuning of zero-shot models"). The file's metadata are those of the first of
    `sources`, and the names of all. Raise as `convert` does, and InputError where they are of different networks.
    """
    paths = [_checked(source, target)[0] for source in sources]
    model, *others = (_network(path) for path in paths)
    for path, other in zip(paths[1:], others, strict=True):
        if other.description.name != model.description.name:
            names = f"{model.description.name}, {path} of {other.description.name}"
            raise InputError(f"weights of different networks have no mean: {paths[0]} is of {names}")
    states = [network.state_dict() for network in (model, *others)]
    model.load_state_dict({name: torch.stack([state[name] for state in states]).mean(0) for name in states[0]})
    made = _metadata(paths[0]) | {"source": "mean of " + ", ".join(path.name for path in paths)}
    write(model.half() if half else model, Path(target), made)
    return model.description.name


def _checked(source: str | Path, target: str | Path) -> tuple[Path, Path]:
    """Return both as paths. Raise what `convert` promises about them."""
    source, target = Path(source), Path(target)
    if target.suffix.lower() != ".safetensors":
        raise InputError(f"{target} must end in .safetensors")
    if target.exists():
        raise OutputExistsError(f"{target} is there already; give another name")
    read(source)  # what is wrong with the file itself is said once, not once for each network
    return source, target


def _network(source: Path) -> Model:
    """Return the network that the weights in `source` fit. Raise InputError with all misfits where there is none."""
    from vshdr import models  # the networks look their weights up in this room

    misfits = []
    for name in models.names():
        if not models.describe(name).weights:
            continue
        try:
            return models.build(name, str(source), models.Display())
        except ValueError as error:
            misfits.append(str(error))
    raise InputError("; ".join(misfits))


def write(model: Model, path: Path, metadata: dict[str, str]) -> None:
    """Write the weights of `model` as safetensors, whole or not at all, with `metadata` and its name in the header."""
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    # Not `save_file`, whose files are its user's alone, and whose errors are of its own kind.
    data = save(state, metadata | {"model": model.description.name})
    with atomic_write(path) as part:
        part.write_bytes(data)


def sha256(path: Path) -> str:
    """Return the file's SHA-256 in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _metadata(path: Path) -> dict[str, str]:
    if path.suffix.lower() != ".safetensors":
        return {}
    with safe_open(path, "pt") as file:
        return file.metadata() or {}


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
    """Return the array as a tensor; what is not one of numbers as it is, for `read` to refuse by its name."""
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiub" or array.dtype.itemsize > 8:
        return array  # the last are NumPy's long doubles, which torch has not
    return torch.from_numpy(array.astype(array.dtype.newbyteorder("="), order="C"))


def _read_npy(file: IO[bytes]) -> np.ndarray:
    """Return one array; one of objects through the restricted unpickler."""
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
    """A pickle asked for something that is not on the list."""


class _ArrayUnpickler(pickle.Unpickler):
    """Builds lists, numbers, text and NumPy arrays, and calls nothing else, whatever the pickle says."""

    _ALLOWED = {
        ("numpy.core.multiarray", "_reconstruct"): np._core.multiarray._reconstruct,
        ("numpy._core.multiarray", "_reconstruct"): np._core.multiarray._reconstruct,
        ("numpy.core.multiarray", "scalar"): np._core.multiarray.scalar,
        ("numpy._core.multiarray", "scalar"): np._core.multiarray.scalar,
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
    """Return what `_codecs.encode` does for the bytes of an array in an old pickle; other encodings would import
    modules by name.
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
