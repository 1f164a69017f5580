"""The functions that the C library calls.

The library imports this module at the first call of `core.hdr` and calls `attach` with the address of its table.
Nothing heavy is imported until a clip is expanded or measured.
"""

from __future__ import annotations

import atexit
import ctypes
import functools
import itertools
import os
import platform
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

from vshdr.errors import BuildError, sentence
from vshdr.plugin import abi
from vshdr.plugin.abi import Group, Item, Kind, Neighbour, Plane, Table

if TYPE_CHECKING:
    from vshdr.plugin.clip import ExpandedClip
    from vshdr.plugin.measured import MeasuredClip

type Value = int | float | str
type Pointer[T: ctypes.Structure] = ctypes._Pointer[T]  # pyright: ignore[reportPrivateUsage]  # it has no public name


def read_items(items: Iterable[Item]) -> dict[Group, dict[str, Value | list[Value]]]:
    """Return items by group and key. A key with several values gets a list of them."""
    groups: dict[Group, dict[str, Value | list[Value]]] = {group: {} for group in Group}
    for item in items:
        values, key, value = groups[Group(item.group)], item.key.decode(), _value_of(item)
        known = values.get(key)
        if known is None:
            values[key] = value
        elif isinstance(known, list):
            known.append(value)
        else:
            values[key] = [known, value]
    return groups


def _value_of(item: Item) -> Value:
    match Kind(item.kind):
        case Kind.INT:
            return item.integer
        case Kind.FLOAT:
            return item.real
        case Kind.TEXT:
            return item.text.decode(errors="replace")


def write_items(
    put: Callable[[int, Item], None],
    settings: int,
    group: Group,
    values: Mapping[str, Value | list[Value] | tuple[Value, ...]],
) -> None:
    """Hand values to C, booleans as integers. A list or tuple becomes several items of one key."""
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


def _guarded[*Ts](failed: int) -> Callable[[Callable[[Bridge, *Ts], int]], Callable[[Bridge, *Ts, int, int], int]]:
    """Make a method a callback that never raises. Its last two arguments are a buffer and the buffer's size: there the
    sentence of an error goes, and the callback returns `failed`.
    """

    def decorate(method: Callable[[Bridge, *Ts], int]) -> Callable[[Bridge, *Ts, int, int], int]:
        @functools.wraps(method)
        def callback(self: Bridge, *arguments: *tuple[*Ts, int, int]) -> int:
            *rest, message, size = arguments
            try:
                return method(self, *cast("tuple[*Ts]", tuple(rest)))
            except BaseException as error:  # nothing may pass into C, not even KeyboardInterrupt
                text = sentence(error).encode()[: size - 1].decode(errors="ignore").encode()
                ctypes.memmove(message, text + b"\0", len(text) + 1)
                return failed

        return callback

    return decorate


class Bridge:
    """The Python functions of one table, and the clips that are expanded and measured through it."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._expanders: dict[int, ExpandedClip] = {}
        self._meters: dict[int, MeasuredClip] = {}
        self._ids = itertools.count(1)
        table.create_expander = abi.Create(self._create_expander)
        table.check = abi.Check(self._check)
        table.infer = abi.Infer(self._infer)
        table.smooth = abi.Smooth(self._smooth)
        table.create_meter = abi.Create(self._create_meter)
        table.measure = abi.Measure(self._measure)
        table.destroy = abi.Destroy(self._destroy)
        table.about = abi.About(self._about)

    @_guarded(failed=0)
    def _create_expander(self, items: Pointer[Item], count: int, settings: int) -> int:
        groups = read_items(items[:count])
        expanded_clip, _ = _load()
        clip = expanded_clip(_integers(groups[Group.CLIP]), groups[Group.ARGUMENT], groups[Group.PROPERTY])
        self._put_settings(clip.settings(), settings)
        return self._keep(self._expanders, clip)

    @_guarded(failed=0)
    def _create_meter(self, items: Pointer[Item], count: int, settings: int) -> int:
        groups = read_items(items[:count])
        _, measured_clip = _load()
        clip = measured_clip(
            _integers(groups[Group.HDR_CLIP]),
            groups[Group.HDR_PROPERTY],
            _integers(groups[Group.CLIP]),
            groups[Group.PROPERTY],
        )
        self._put_settings(clip.settings(), settings)
        return self._keep(self._meters, clip)

    def _put_settings(self, groups: Mapping[Group, Mapping[str, Any]], settings: int) -> None:
        for group, values in groups.items():
            write_items(self._table.put, settings, group, values)

    def _keep[T](self, clips: dict[int, T], clip: T) -> int:
        """Keep the clip until `_destroy`, and return its id."""
        number = next(self._ids)
        clips[number] = clip
        return number

    @_guarded(failed=1)
    def _check(self, expander: int, items: Pointer[Item], count: int) -> int:
        self._expanders[expander].check(read_items(items[:count])[Group.PROPERTY])
        return 0

    @_guarded(failed=1)
    def _infer(
        self, expander: int, source: Pointer[Plane], target: Pointer[Plane], frames: int, width: int, height: int
    ) -> int:
        self._expanders[expander].infer(source[: 3 * frames], target[: 3 * frames], frames, width, height)
        return 0

    @_guarded(failed=1)
    def _smooth(
        self,
        expander: int,
        number: int,
        window: Pointer[Neighbour],
        frames: int,
        target: Pointer[Plane],
        width: int,
        height: int,
    ) -> int:
        self._expanders[expander].smooth(number, window[:frames], target[:3], width, height)
        return 0

    @_guarded(failed=1)
    def _measure(
        self, meter: int, window: Pointer[Neighbour], frames: int, width: int, height: int, settings: int
    ) -> int:
        values = self._meters[meter].measure(window[:frames], width, height)
        write_items(self._table.put, settings, Group.MEASURED, values)
        return 0

    def _destroy(self, number: int) -> None:
        self._expanders.pop(number, None)
        self._meters.pop(number, None)

    def _about(self, settings: int) -> None:
        about = {"python": platform.python_version()}
        if "torch" in sys.modules:
            about["torch"] = str(sys.modules["torch"].__version__)
        write_items(self._table.put, settings, Group.ABOUT, about)

    def close(self) -> None:
        """Refuse further calls from C and wait for those under way, which need a whole interpreter to finish."""
        while self._table.close():
            time.sleep(0.001)


def _integers(values: Mapping[str, Value | list[Value]]) -> Mapping[str, int]:
    """Return the values of a group in which C only puts integers."""
    return cast("Mapping[str, int]", values)


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
    # Functions run at exit in reverse order of registration. Registered after torch was imported, this one runs while
    # torch is still whole, as calls under way need it.
    atexit.register(lambda: [bridge.close() for bridge in _bridges.values()])
    return ExpandedClip, MeasuredClip


def attach(address: int) -> None:
    """Fill the C library's table at `address`. Do nothing if that was done before.

    Raise BuildError if library and package are of different builds.
    """
    with _attaching:  # two threads may each expand their first clip
        if address in _bridges:
            return
        table = Table.from_address(address)
        if (table.abi, table.size) != (abi.ABI, ctypes.sizeof(Table)):
            raise BuildError(
                f"the plugin has interface {table.abi}, the package {abi.ABI}; install vshdr again, which builds both"
            )
        _bridges[address] = Bridge(table)
