"""The interface between the C library and Python, declared once more: `vshdr.h` has the same types under the same
names and says what each entry means. A test compares the two.
"""

from __future__ import annotations

import ctypes
import enum
from collections.abc import Callable
from ctypes import POINTER, c_char_p, c_double, c_int32, c_int64, c_void_p
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _ctypes import CFuncPtr  # the base of all function types; `ctypes` has no public name for it

ABI = 5
"""Changes with anything below: library and package of different builds must not meet."""


class Group(enum.IntEnum):
    """`enum vshdr_group`: what an item belongs to."""

    CLIP = 0
    ARGUMENT = 1
    PROPERTY = 2
    SETTING = 3
    SOURCE = 4
    TO_SDR = 5
    EXPANDED = 6
    REMOVED = 7
    DELIVERY = 8
    ABOUT = 9
    HDR_CLIP = 10
    HDR_PROPERTY = 11
    HDR_SOURCE = 12
    TO_LINEAR = 13
    MEASURED = 14


class Kind(enum.IntEnum):
    """`enum vshdr_kind`: the type of an item's value."""

    INT = 0
    FLOAT = 1
    TEXT = 2


class Item(ctypes.Structure):
    """`struct vshdr_item`: one value of one key."""

    group: int
    kind: int
    integer: int
    real: float
    key: bytes
    text: bytes
    _fields_ = [
        ("group", c_int32),
        ("kind", c_int32),
        ("integer", c_int64),
        ("real", c_double),
        ("key", c_char_p),
        ("text", c_char_p),
    ]


class Plane(ctypes.Structure):
    """`struct vshdr_plane`: one plane of a frame, its address and the bytes from one row to the next."""

    data: int | None
    stride: int
    _fields_ = [("data", c_void_p), ("stride", c_int64)]


class Neighbour(ctypes.Structure):
    """`struct vshdr_neighbour`: one frame of a window, its SDR and its gain or linear light."""

    number: int
    scene_change: int
    sdr: ctypes.Array[Plane]
    expanded: ctypes.Array[Plane]
    _fields_ = [("number", c_int32), ("scene_change", c_int32), ("sdr", Plane * 3), ("expanded", Plane * 3)]


_MESSAGE = (c_void_p, c_int32)
_SIZE = (c_int32, c_int32)
Put: type[CFuncPtr] = ctypes.CFUNCTYPE(None, c_void_p, POINTER(Item))
Close: type[CFuncPtr] = ctypes.CFUNCTYPE(c_int32)
Create: type[CFuncPtr] = ctypes.CFUNCTYPE(c_int64, POINTER(Item), c_int32, c_void_p, *_MESSAGE)
Check: type[CFuncPtr] = ctypes.CFUNCTYPE(c_int32, c_int64, POINTER(Item), c_int32, *_MESSAGE)
Infer: type[CFuncPtr] = ctypes.CFUNCTYPE(c_int32, c_int64, POINTER(Plane), POINTER(Plane), c_int32, *_SIZE, *_MESSAGE)
Smooth: type[CFuncPtr] = ctypes.CFUNCTYPE(
    c_int32, c_int64, c_int32, POINTER(Neighbour), c_int32, POINTER(Plane), *_SIZE, *_MESSAGE
)
Measure: type[CFuncPtr] = ctypes.CFUNCTYPE(c_int32, c_int64, POINTER(Neighbour), c_int32, *_SIZE, c_void_p, *_MESSAGE)
Destroy: type[CFuncPtr] = ctypes.CFUNCTYPE(None, c_int64)
About: type[CFuncPtr] = ctypes.CFUNCTYPE(None, c_void_p)


class Table(ctypes.Structure):
    """`struct vshdr_table`: the functions through which C and Python call each other."""

    abi: int
    size: int
    put: Callable[[int, Item], None]
    close: Callable[[], int]
    create_expander: Callable[..., int]
    check: Callable[..., int]
    infer: Callable[..., int]
    smooth: Callable[..., int]
    create_meter: Callable[..., int]
    measure: Callable[..., int]
    destroy: Callable[..., None]
    about: Callable[..., None]
    _fields_ = [
        ("abi", c_int32),
        ("size", c_int32),
        ("put", Put),
        ("close", Close),
        ("create_expander", Create),
        ("check", Check),
        ("infer", Infer),
        ("smooth", Smooth),
        ("create_meter", Create),
        ("measure", Measure),
        ("destroy", Destroy),
        ("about", About),
    ]
