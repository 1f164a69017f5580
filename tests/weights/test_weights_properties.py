"""Readers of weights against damaged and malicious bytes: tensors or one documented error, and nothing is ever run."""

from __future__ import annotations

import functools
import io
import pickle
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.mutations import damaged
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save

from vshdr import weights
from vshdr.errors import InputError

STATE = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.tensor([0.5, -0.5]).half()}
FORMS = ["safetensors", "zip.pth", "legacy.pth", "npz", "list.npz"]
_calls: list[object] = []


def spring_the_trap(*arguments: object) -> object:
    """What a pickle that is not refused would call; it is on no list of what may be unpickled."""
    _calls.append(arguments)
    return np.zeros(1)


@functools.cache
def intact(form: str) -> bytes:
    """A small file of weights."""
    file = io.BytesIO()
    if form == "safetensors":
        return save(STATE)
    if form.endswith(".pth"):
        torch.save(STATE, file, _use_new_zipfile_serialization=form.startswith("zip"))
    elif form == "npz":
        np.savez(file, **{name: tensor.numpy() for name, tensor in STATE.items()})
    else:
        objects = np.empty(2, dtype=object)
        objects[:] = [tensor.numpy() for tensor in STATE.values()]
        np.savez(file, params=objects)
    return file.getvalue()


@functools.cache
def folder() -> tempfile.TemporaryDirectory:
    return tempfile.TemporaryDirectory()


def read_or_refuse(content: bytes, form: str) -> None:
    """Read a file of these bytes; whatever comes of it is a tensor or a sentence that names the file."""
    _calls.clear()
    path = Path(folder().name, f"weights.{form}")
    path.write_bytes(content)
    try:
        tensors = weights.read(path)
    except (InputError, OSError) as error:
        assert str(path) in str(error) and "\n" not in str(error)
    else:
        assert all(tensor.dtype == torch.float32 for tensor in tensors.values())
    assert not _calls


@pytest.mark.parametrize("form", FORMS)
@given(data=st.data())
def test_damaged_weights_are_read_or_refused(form, data) -> None:
    read_or_refuse(data.draw(damaged(intact(form))), form)


@given(data=st.data())
def test_a_damaged_header_of_safetensors_is_refused(data) -> None:
    whole = intact("safetensors")
    end = 8 + int.from_bytes(whole[:8], "little")
    read_or_refuse(data.draw(damaged(whole, 0, end)), "safetensors")


# Pieces of pickles: every way to name something and to call it, between values and marks to call it with.
_NAMES = [
    (__name__, "spring_the_trap"),
    ("builtins", "eval"),
    ("builtins", "getattr"),
    ("os", "system"),
    ("functools", "partial"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),
    ("collections", "OrderedDict"),
    ("torch._utils", "_rebuild_tensor_v2"),
    ("torch", "FloatStorage"),
]


def _text(value: str) -> bytes:
    return b"X" + len(value).to_bytes(4, "little") + value.encode()


_ASKING = [f"{opcode}{module}\n{name}\n".encode() for module, name in _NAMES for opcode in "ci"] + [
    _text(module) + _text(name) + b"\x93" for module, name in _NAMES
]
_CALLING = [b"R", b"\x81", b"\x92", b"o", b"b", b"a", b"s", b"u", b"e", b"Q"]
_VALUES = [b"(", b"t", b"l", b"d", b"]", b"}", b")", b"N", b"K\x01", b"K\x00", b"\x85", b"\x86", b"\x87", b"0", b"2"]
_VALUES += [_text("a"), _text("latin1"), _text("f4"), _text("storage")]
_VALUES += [b"1", b"C\x04abcd", b"G" + bytes(8), b"q\x00", b"h\x00"]
PROGRAMS = st.lists(st.sampled_from(_ASKING) | st.sampled_from(_CALLING) | st.sampled_from(_VALUES), max_size=25).map(
    lambda pieces: b"\x80\x02" + b"".join(pieces) + b"."
)


def npz_of(pickled: bytes) -> bytes:
    member, file = io.BytesIO(), io.BytesIO()
    np.lib.format.write_array_header_1_0(member, {"descr": "|O", "fortran_order": False, "shape": (1,)})
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("params.npy", member.getvalue() + pickled)
    return file.getvalue()


def pth_of(pickled: bytes) -> bytes:
    """The file that `torch.save` writes, with another pickle in it."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(intact("zip.pth"))) as source, zipfile.ZipFile(file, "w") as target:
        for name in source.namelist():
            target.writestr(name, pickled if name.endswith("data.pkl") else source.read(name))
    return file.getvalue()


@pytest.mark.parametrize(("form", "pack"), [("npz", npz_of), ("pth", pth_of), ("ckpt", lambda pickled: pickled)])
@given(program=PROGRAMS)
def test_no_pickle_runs_anything(form, pack, program) -> None:
    read_or_refuse(pack(program), form)


@pytest.mark.parametrize("pack", [npz_of, pth_of])
def test_the_trap_is_one(pack) -> None:
    """Without the readers' care the programs above would be run."""
    program = b"\x80\x02" + f"c{__name__}\nspring_the_trap\n)R.".encode()
    _calls.clear()
    pickle.loads(program)
    assert len(_calls) == 1
    read_or_refuse(pack(program), "npz" if pack is npz_of else "pth")


@given(
    shape=st.lists(st.integers(-1, 4) | st.sampled_from([1 << 31, 1 << 40, 1 << 62]), max_size=4),
    descr=st.sampled_from("<f4 >f8 <f2 <f16 |O <i4 |b1 <c8 |S4 <U2 |V4 <M8[s] f4,i4".split()),
    fortran=st.booleans(),
    content=st.binary(max_size=64),
    version=st.sampled_from([(1, 0), (2, 0), (3, 0), (9, 9)]),
)
def test_any_header_of_an_array_is_read_or_refused(shape, descr, fortran, content, version) -> None:
    header = f"{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {tuple(shape)}, }}\n".encode()
    length = len(header).to_bytes(2 if version[0] == 1 else 4, "little")
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.npy", b"\x93NUMPY" + bytes(version) + length + header + content)
    read_or_refuse(file.getvalue(), "npz")
