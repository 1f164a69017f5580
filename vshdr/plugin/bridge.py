"""The Python side of the plugin's table of functions: `vshdr.h` says what each entry means.

The C library imports this module at the first call of `core.hdr` and calls `attach` with the address of its table.
Nothing heavy is imported until a clip is expanded or measured.
"""

from __future__ import annotations

import atexit
import ctypes
import enum
import functools
import itertools
import os
import platform
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from ctypes import POINTER, c_char_p, c_double, c_int32, c_int64, c_void_p
from typing import TYPE_CHECKING

from vshdr.errors import BuildError, sentence

if TYPE_CHECKING:
    from vshdr.plugin.clip import ExpandedClip
    from vshdr.plugin.measured import MeasuredClip

ABI = 4


class Group(enum.IntEnum):
    """enum vshdr_group."""

    CLIP = 0
    ARGUMENT = 1
    PROPERTY = 2
    SETTING = 3
    SOURCE = 4
    TO_SDR = 5
    LINEAR = 6
    REMOVED = 7
    DELIVERY = 8
    ABOUT = 9
    HDR_CLIP = 10
    HDR_PROPERTY = 11
    HDR_SOURCE = 12
    TO_LINEAR = 13
    MEASURED = 14


class Kind(enum.IntEnum):
    """enum vshdr_kind."""

    INT = 0
    FLOAT = 1
    TEXT = 2


class Item(ctypes.Structure):
    """struct vshdr_item."""

    _fields_ = [
        ("group", c_int32),
        ("kind", c_int32),
        ("integer", c_int64),
        ("real", c_double),
        ("key", c_char_p),
        ("text", c_char_p),
    ]


class Plane(ctypes.Structure):
    """struct vshdr_plane."""

    _fields_ = [("sdr", c_void_p), ("linear", c_void_p), ("sdr_stride", c_int64), ("linear_stride", c_int64)]


class Neighbour(ctypes.Structure):
    """struct vshdr_moment."""

    _fields_ = [("number", c_int32), ("scene_change", c_int32), ("planes", Plane * 3)]


Put = ctypes.CFUNCTYPE(None, c_void_p, POINTER(Item))
Close = ctypes.CFUNCTYPE(c_int32)
Create = ctypes.CFUNCTYPE(c_int64, POINTER(Item), c_int32, c_void_p, c_void_p, c_int32)
Check = ctypes.CFUNCTYPE(c_int32, c_int64, POINTER(Item), c_int32, c_void_p, c_int32)
Infer = ctypes.CFUNCTYPE(c_int32, c_int64, POINTER(Plane), c_int32, c_int32, c_int32, c_void_p, c_int32)
Smooth = ctypes.CFUNCTYPE(
    c_int32, c_int64, c_int32, POINTER(Neighbour), c_int32, POINTER(Plane), c_int32, c_int32, c_void_p, c_int32
)
Measure = ctypes.CFUNCTYPE(c_int32, c_int64, POINTER(Neighbour), c_int32, c_int32, c_int32, c_void_p, c_void_p, c_int32)
Destroy = ctypes.CFUNCTYPE(None, c_int64)
About = ctypes.CFUNCTYPE(None, c_void_p)


class Table(ctypes.Structure):
    """struct vshdr_bridge."""

    _fields_ = [
        ("abi", c_int32),
        ("size", c_int32),
        ("put", Put),
        ("close", Close),
        ("create", Create),
        ("check", Check),
        ("infer", Infer),
        ("smooth", Smooth),
        ("hold", Create),
        ("measure", Measure),
        ("destroy", Destroy),
        ("about", About),
    ]


Value = int | float | str


def read_items(items: Iterable[Item]) -> dict[Group, dict[str, Value | list[Value]]]:
    """Return items by group and key; a key with several values becomes a list."""
    groups: dict[Group, dict[str, Value | list[Value]]] = {group: {} for group in Group}
    for item in items:
        group, key = groups[Group(item.group)], item.key.decode()
        value = {Kind.INT: item.integer, Kind.FLOAT: item.real, Kind.TEXT: item.text}[Kind(item.kind)]
        if isinstance(value, bytes):
            value = value.decode(errors="replace")
        if key not in group:
            group[key] = value
        elif isinstance(group[key], list):
            group[key].append(value)
        else:
            group[key] = [group[key], value]
    return groups


def write_items(put: Put, settings: int, group: Group, values: Mapping[str, Value | Iterable[Value]]) -> None:
    """Hand values to C; a list or tuple becomes several items of one key."""
    for key, value in values.items():
        for single in value if isinstance(value, (list, tuple)) else [value]:
            item = Item(group=group, key=key.encode())
            if isinstance(single, str):
                item.kind, item.text = Kind.TEXT, single.encode()
            elif isinstance(single, float):
                item.kind, item.real = Kind.FLOAT, single
            else:
                item.kind, item.integer = Kind.INT, int(single)
            put(settings, item)


def _guarded(failed: int) -> Callable:
    """Make a method a callback that never raises: the sentence goes into the buffer of its last two arguments."""

    def decorate(method: Callable) -> Callable:
        @functools.wraps(method)
        def callback(*arguments: int) -> int:
            *rest, message, size = arguments
            try:
                return method(*rest)
            except BaseException as error:  # nothing may pass into C, not even KeyboardInterrupt
                text = sentence(error).encode()[: size - 1].decode(errors="ignore").encode()
                ctypes.memmove(message, text + b"\0", len(text) + 1)
                return failed

        return callback

    return decorate


class Bridge:
    """The callbacks behind one table, and the clips that are being expanded through it."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._clips: dict[int, ExpandedClip | MeasuredClip] = {}
        self._ids = itertools.count(1)
        table.create, table.check = Create(self._create), Check(self._check)
        table.infer, table.smooth, table.destroy = Infer(self._infer), Smooth(self._smooth), Destroy(self._destroy)
        table.hold, table.measure = Create(self._hold), Measure(self._measure)
        table.about = About(self._about)

    @_guarded(failed=0)
    def _create(self, items, count: int, settings: int) -> int:
        groups = read_items(items[i] for i in range(count))
        expanded_clip, _ = _load()
        return self._keep(expanded_clip(groups[Group.CLIP], groups[Group.ARGUMENT], groups[Group.PROPERTY]), settings)

    @_guarded(failed=0)
    def _hold(self, items, count: int, settings: int) -> int:
        groups = read_items(items[i] for i in range(count))
        _, measured_clip = _load()
        about_hdr, about_sdr = (
            (groups[clip], groups[properties])
            for clip, properties in ((Group.HDR_CLIP, Group.HDR_PROPERTY), (Group.CLIP, Group.PROPERTY))
        )
        return self._keep(measured_clip(*about_hdr, *about_sdr), settings)

    def _keep(self, clip: ExpandedClip | MeasuredClip, settings: int) -> int:
        """Hand the clip's settings to C and gives it a number."""
        for group, values in clip.settings().items():
            write_items(self._table.put, settings, Group[group], values)
        number = next(self._ids)
        self._clips[number] = clip
        return number

    @_guarded(failed=1)
    def _check(self, number: int, items, count: int) -> int:
        self._clips[number].check(read_items(items[i] for i in range(count))[Group.PROPERTY])
        return 0

    @_guarded(failed=1)
    def _infer(self, number: int, planes, frames: int, width: int, height: int) -> int:
        self._clips[number].infer(planes, frames, width, height)
        return 0

    @_guarded(failed=1)
    def _smooth(self, number: int, frame: int, window, frames: int, out, width: int, height: int) -> int:
        self._clips[number].smooth(frame, window[:frames], out, width, height)
        return 0

    @_guarded(failed=1)
    def _measure(self, number: int, window, frames: int, width: int, height: int, settings: int) -> int:
        values = self._clips[number].measure(window[:frames], width, height)
        write_items(self._table.put, settings, Group.MEASURED, values)
        return 0

    def _destroy(self, number: int) -> None:
        self._clips.pop(number, None)

    def _about(self, settings: int) -> None:
        about = {"python": platform.python_version()}
        if "torch" in sys.modules:
            about["torch"] = str(sys.modules["torch"].__version__)
        write_items(self._table.put, settings, Group.ABOUT, about)

    def close(self) -> None:
        """Refuse further calls from C and waits for those under way, which need the interpreter to end well."""
        while self._table.close():
            time.sleep(0.001)


_bridges: dict[int, Bridge] = {}
_attaching = threading.Lock()


@functools.cache
def _load() -> tuple[type[ExpandedClip], type[MeasuredClip]]:
    """Import torch and what needs it, at the first clip that is expanded or measured."""
    # Threads of torch that spin while they wait would take the cores from VapourSynth's threads.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from vshdr.plugin.clip import ExpandedClip
    from vshdr.plugin.measured import MeasuredClip
    from vshdr.runtime.memory import keep_what_is_freed

    keep_what_is_freed()
    # Last registered runs first: torch must still be whole while calls under way come to their end.
    atexit.register(lambda: [bridge.close() for bridge in _bridges.values()])
    return ExpandedClip, MeasuredClip


def attach(address: int) -> None:
    """Fill the C library's table at `address`. Does nothing the second time.

    Raise BuildError if library and package are of different builds.
    """
    with _attaching:  # two threads that each expand their first clip
        if address in _bridges:
            return
        table = Table.from_address(address)
        if (table.abi, table.size) != (ABI, ctypes.sizeof(Table)):
            raise BuildError(f"the plugin has interface {table.abi}, the package {ABI}")
        _bridges[address] = Bridge(table)
