"""Reading files of weights: published forms, damaged ones and malicious ones."""

from __future__ import annotations

import collections
import io
import os
import pickle
import re
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.published_weights import write_object_npz
from safetensors.torch import save_file

from vshdr import weights

STATE = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.tensor([0.5, -0.5])}


def equal(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> bool:
    same_names = found.keys() == expected.keys()
    return same_names and all(torch.equal(found[name], expected[name]) for name in expected)


def write_pickle_npz(path: Path, pickled: bytes) -> Path:
    """The same around any pickle at all."""
    member = io.BytesIO()
    np.lib.format.write_array_header_1_0(member, {"descr": "|O", "fortran_order": False, "shape": (1,)})
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("params.npy", member.getvalue() + pickled)
    return path


class Command:
    """Unpickled by a careless reader, makes the folder `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".ckpt"])
@pytest.mark.parametrize("zipped", [True, False])
def test_reads_pytorch_files_old_and_new(tmp_path, suffix, zipped):
    path = tmp_path / f"weights{suffix}"
    torch.save(collections.OrderedDict(STATE), path, _use_new_zipfile_serialization=zipped)
    assert equal(weights.read(path), STATE)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: {"state_dict": state, "epoch": 7},
        lambda state: {"model": state, "optimizer": {"lr": 0.1}},
        lambda state: {f"module.{name}": tensor for name, tensor in state.items()},
        lambda state: {name: tensor.double() for name, tensor in state.items()},
        lambda state: {name: tensor.half() for name, tensor in state.items()},
    ],
)
def test_unwraps_what_training_programs_wrap(tmp_path, wrap):
    path = tmp_path / "checkpoint.ckpt"
    torch.save(wrap(STATE), path)
    assert equal(weights.read(path), STATE)


def test_reads_safetensors_and_plain_npz(tmp_path):
    save_file(STATE, tmp_path / "a.safetensors")
    arrays = {name: tensor.numpy() for name, tensor in STATE.items()}
    np.savez(tmp_path / "b.npz", **arrays)
    other = {name: np.asfortranarray(array.astype(">f8")) for name, array in arrays.items()}
    np.savez_compressed(tmp_path / "c.npz", **other)
    for name in ("a.safetensors", "b.npz", "c.npz"):
        assert equal(weights.read(tmp_path / name), STATE)


def test_reads_a_pickled_list_of_arrays_in_its_order(tmp_path):
    arrays = [np.full((2, index + 1), index, np.float32) for index in range(12)]
    found = weights.read(write_object_npz(tmp_path / "list.npz", arrays))
    assert equal(found, {str(index): torch.from_numpy(array) for index, array in enumerate(arrays)})


def test_reads_a_list_that_python_2_pickled(tmp_path):
    """Protocol 2 with the old module names and raw bytes as a byte string, as NumPy 1 wrote under Python 2."""
    array = np.array([1.5, -2.0, 1e-3], np.float32)

    def text(value: bytes) -> bytes:
        return b"U" + bytes([len(value)]) + value

    def build(dtype: bytes, count: int, content: bytes) -> bytes:
        empty = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85" + text(b"b") + b"tR"
        return empty + b"(K\x01K" + bytes([count]) + b"\x85" + dtype + b"\x89" + content + b"tb"

    float32 = (
        b"cnumpy\ndtype\n("
        + text(b"f4")
        + b"K\x00K\x01tR(K\x03"
        + text(b"<")
        + b"NNN"
        + b"J\xff\xff\xff\xff" * 2
        + b"K\x00tb"
    )
    objects = (
        b"cnumpy\ndtype\n("
        + text(b"O8")
        + b"K\x00K\x01tR(K\x03"
        + text(b"|")
        + b"NNN"
        + b"J\xff\xff\xff\xff" * 2
        + b"K\x3ftb"
    )
    inner = build(float32, 3, text(array.tobytes()))
    pickled = b"\x80\x02" + build(objects, 1, b"](" + inner + b"e") + b"."
    path = write_pickle_npz(tmp_path / "two.npz", pickled)
    assert equal(weights.read(path), {"0": torch.from_numpy(array)})


@pytest.mark.parametrize("suffix", [".npz", ".pth"])
def test_never_runs_a_pickle(tmp_path, suffix):
    trap, path = tmp_path / "trap", tmp_path / f"evil{suffix}"
    if suffix == ".npz":
        write_pickle_npz(path, pickle.dumps(Command(trap)))
    else:
        torch.save({"a": Command(trap)}, path)
    with pytest.raises(ValueError, match=rf"evil\{suffix} is refused: it holds") as error:
        weights.read(path)
    assert "\n" not in str(error.value)
    assert not trap.exists()


@pytest.mark.parametrize(
    "pickled",
    [
        b"\x80\x02cnumpy.core.multiarray\nfromfile\n.",
        b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93.",
        b"\x80\x02c_codecs\nencode\nU\x01aU\x06punycod\x86R.",
        b"\x80\x02cos\nsystem\n(U\x04trueo.",
        b"\x80\x02]q\x00.",
        b"\x80\x02",
    ],
)
def test_refuses_every_other_pickle(tmp_path, pickled):
    with pytest.raises(ValueError, match=r"list\.npz is (refused|damaged)"):
        weights.read(write_pickle_npz(tmp_path / "list.npz", pickled))


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".npz"])
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"not weights at all\n" * 50,
        b"PK\x03\x04" + b"\0" * 200,
        bytes(range(256)) * 8,
        b"\x80\x02}q\x00.",
        struct.pack("<Q", 1 << 60) + b"{}",
    ],
)
def test_refuses_what_is_no_weights_file(tmp_path, suffix, content):
    path = tmp_path / f"Größe 1{suffix}"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=re.escape(str(path))):
        weights.read(path)


@pytest.mark.parametrize("form", ["safetensors", "zip.pth", "legacy.pth", "npz", "list.npz"])
def test_refuses_truncated_files(tmp_path, form):
    path = tmp_path / f"weights.{form}"
    state = {"a": torch.arange(4000.0)}
    if form == "safetensors":
        save_file(state, path)
    elif form.endswith(".pth"):
        torch.save(state, path, _use_new_zipfile_serialization=form.startswith("zip"))
    elif form == "npz":
        np.savez(path, a=state["a"].numpy())
    else:
        write_object_npz(path, [state["a"].numpy()])
    whole = path.read_bytes()
    for share in (0.05, 0.5, 0.95):
        path.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(ValueError, match=re.escape(str(path))):
            weights.read(path)


def test_refuses_what_is_not_float(tmp_path):
    torch.save({"a": torch.arange(3)}, tmp_path / "int.pth")
    with pytest.raises(ValueError, match=r"int\.pth holds int64 under 'a' where floats should be"):
        weights.read(tmp_path / "int.pth")
    np.savez(tmp_path / "long.npz", a=np.zeros(1, np.longdouble))
    with pytest.raises(ValueError, match=r"long\.npz holds a ndarray under 'a' where a tensor should be"):
        weights.read(tmp_path / "long.npz")
    np.savez(tmp_path / "text.npz", a=np.array(["x"]))
    with pytest.raises(ValueError, match=r"text\.npz holds a ndarray under 'a' where a tensor should be"):
        weights.read(tmp_path / "text.npz")
    torch.save([torch.zeros(1)], tmp_path / "list.pth")
    with pytest.raises(ValueError, match=r"list\.pth holds a list where a dictionary of tensors should be"):
        weights.read(tmp_path / "list.pth")
    torch.save({}, tmp_path / "none.pth")
    with pytest.raises(ValueError, match=r"none\.pth holds no tensors"):
        weights.read(tmp_path / "none.pth")


def test_a_missing_file_and_an_unknown_kind(tmp_path):
    with pytest.raises(FileNotFoundError):
        weights.read(tmp_path / "nowhere.pth")
    complaint = r"weights\.onnx cannot be read as weights: its name must end in one of \.safetensors"
    with pytest.raises(ValueError, match=complaint):
        weights.read(tmp_path / "weights.onnx")
