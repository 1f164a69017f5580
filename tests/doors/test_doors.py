"""The same 48 frames through all doors.

`LIGHT_DOORS` lists every way to linear light and `PQ_DOORS` every way to PQ. All give what `Expander.expand` gives for
the whole clip in one call: bit for bit, tiles to within 1e-5, and PQ that a GPU would encode to within one code.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
import vapoursynth as vs
from helpers.door_clip import (
    CUT,
    FLASH,
    HEIGHT,
    LENGTH,
    WIDTH,
    as_clip,
    linear_as_clip,
    linear_of,
    planes_of,
    sdr_of,
    write_door_clip,
)
from torch import Tensor

from vshdr import Expander, convert
from vshdr.colour.h273 import Primaries
from vshdr.expand import plane_conversion
from vshdr.media.delivery import Delivery, linear_properties
from vshdr.media.read.exr import read_exr
from vshdr.media.read.reader import open_source
from vshdr.temporal.shots import shots
from vshdr.temporal.signature import signature

pytestmark = pytest.mark.usefixtures("one_thread")

Options = dict[str, Any]
PLAIN: Options = {}
SMOOTH: Options = {"smooth": 2}
PERCENTILE: Options = {"smooth": 2, "smooth_mode": "percentile"}
SHAPED: Options = {"smooth": 1, "strength": 0.7, "gamma": 1.2}


@dataclass(frozen=True)
class Room:
    """What a door may use: the file, a folder of its own, vspipe, and pytest's way to change a constant."""

    video: Path
    folder: Path
    vspipe: Callable[..., Any]
    monkeypatch: pytest.MonkeyPatch

    def expander(self, **options: Any) -> Expander:
        return Expander("gainmap", eotf=open_source(self.video).signal.eotf, device="cpu", **options)

    def sdr(self) -> Tensor:
        return sdr_of(open_source(self.video))

    def plugin(self, **arguments: Any) -> vs.VideoNode:
        return vs.core.hdr.Expand(as_clip(self.video), model="gainmap", device="cpu", **arguments)

    def script(self, arguments: Options, order: list[int]) -> Path:
        """A script that expands the clip and gives its frames in another order."""
        path = self.folder / "clip.vpy"
        path.write_text(
            "import pathlib, sys, torch, vapoursynth as vs\n"
            f"sys.path.insert(0, {str(Path(__file__).parents[1])!r})\n"
            "torch.set_num_threads(1)\n"
            "from helpers.door_clip import as_clip\n"
            f"clip = as_clip(pathlib.Path({str(self.video)!r}))\n"
            f"expanded = vs.core.hdr.Expand(clip, model='gainmap', device='cpu', **{arguments!r})\n"
            f"vs.core.std.Splice([expanded[n] for n in {order!r}]).set_output()\n"
        )
        return path


def shuffled(seed: int) -> list[int]:
    return random.Random(seed).sample(range(LENGTH), LENGTH)


# Ways to linear light: N x 3 x H x W.


def expand_in_odd_batches(room: Room, options: Options) -> Tensor:
    expander, sizes = room.expander(**options), itertools.cycle((1, 2, 7, 3, 5))
    rest, parts = room.sdr(), []
    while len(rest):
        size = next(sizes)
        parts.append(expander.expand(rest[:size]))
        rest = rest[size:]
    return torch.cat(parts)


def expand_clip(room: Room, options: Options) -> Tensor:
    return torch.stack(list(room.expander(**options).expand_clip(iter(room.sdr()))))


def expand_in_tiles(room: Room, options: Options) -> Tensor:
    return room.expander(tile=(64, 64), **options).expand(room.sdr())


def read_sequence(folder: Path) -> Tensor:
    return torch.stack([torch.from_numpy(read_exr(path)[0]) for path in sorted(folder.glob("*.exr"))])


def convert_to_exr(room: Room, options: Options) -> Tensor:
    convert(room.video, room.folder / "out.####.exr", model="gainmap", device="cpu", exr_type="float", **options)
    return read_sequence(room.folder)


def convert_resumed_in_the_middle(room: Room, options: Options) -> Tensor:
    convert_to_exr(room, options)
    files = sorted(room.folder.glob("*.exr"))
    files[CUT].write_bytes(files[CUT].read_bytes()[:700])
    for path in (files[7], *files[30:]):
        path.unlink()
    again = convert(
        room.video,
        room.folder / "out.####.exr",
        model="gainmap",
        device="cpu",
        exr_type="float",
        resume=True,
        **options,
    )
    assert again.frames == 2 + LENGTH - 30
    return read_sequence(room.folder)


def plugin_in_order(room: Room, options: Options) -> Tensor:
    return torch.stack([linear_of(frame) for frame in room.plugin(**options).frames(close=True)])


def plugin_in_any_order(room: Room, options: Options) -> Tensor:
    clip = room.plugin(batch=3, **options)
    frames = {number: linear_of(clip.get_frame(number)) for number in shuffled(1)}
    return torch.stack([frames[number] for number in range(LENGTH)])


def plugin_all_at_once(room: Room, options: Options) -> Tensor:
    clip = room.plugin(**options)
    requests = {number: clip.get_frame_async(number) for number in shuffled(2)}
    return torch.stack([linear_of(requests[number].result()) for number in range(LENGTH)])


def vspipe_in_any_order(room: Room, options: Options) -> Tensor:
    order = shuffled(3)
    result = room.vspipe(room.script({"format": int(vs.RGBS), **options}, order), "-")
    assert result.returncode == 0, result.stderr.decode()
    got = torch.frombuffer(bytearray(result.stdout), dtype=torch.float32).view(LENGTH, 3, HEIGHT, WIDTH)
    return got[[order.index(number) for number in range(LENGTH)]][:, [2, 0, 1]]  # vspipe writes G, B, R


LIGHT_DOORS: list[tuple[Callable[[Room, Options], Tensor], list[Options], float]] = [
    # door                          with these options                   may differ by
    (expand_in_odd_batches,         [PLAIN],                             0.0),  # smoothing needs the neighbours
    (expand_clip,                   [PLAIN, SMOOTH, PERCENTILE, SHAPED], 0.0),
    (expand_in_tiles,               [PLAIN, SMOOTH],                     1e-5),
    (convert_to_exr,                [PLAIN, SMOOTH, PERCENTILE, SHAPED], 0.0),
    (convert_resumed_in_the_middle, [PLAIN, SMOOTH],                     0.0),
    (plugin_in_order,               [PLAIN, SMOOTH],                     0.0),
    (plugin_in_any_order,           [PLAIN, SMOOTH, PERCENTILE, SHAPED], 0.0),
    (plugin_all_at_once,            [PLAIN, SMOOTH],                     0.0),
    (vspipe_in_any_order,           [SMOOTH],                            0.0),
]  # fmt: skip


# Ways to PQ: Y, Cb and Cr of every frame.

Video = list[list[np.ndarray]]


def plugin_to_pq(room: Room, options: Options) -> Video:
    clip = room.plugin(output="pq", batch=3, **options)
    frames = {number: planes_of(clip.get_frame(number)) for number in shuffled(4)}
    return [frames[number] for number in range(LENGTH)]


def split(data: bytes) -> list[np.ndarray]:
    """The planes of one frame of ten-bit 4:2:0."""
    shapes = [(HEIGHT, WIDTH), (HEIGHT // 2, WIDTH // 2), (HEIGHT // 2, WIDTH // 2)]
    ends = np.cumsum([0, *(height * width for height, width in shapes)])
    codes = np.frombuffer(data, np.uint16)
    return [codes[ends[n] : ends[n + 1]].reshape(shape) for n, shape in enumerate(shapes)]


def vspipe_to_y4m(room: Room, options: Options) -> Video:
    result = room.vspipe("-c", "y4m", room.script({"output": "pq", **options}, list(range(LENGTH))), "-")
    assert result.returncode == 0, result.stderr.decode()
    header, _, rest = result.stdout.partition(b"\n")
    assert header.startswith(b"YUV4MPEG2 C420p10")
    size = HEIGHT * WIDTH * 3
    frames = [rest[at : at + size + 6] for at in range(0, len(rest), size + 6)]
    assert all(frame.startswith(b"FRAME\n") for frame in frames)
    return [split(frame[6:]) for frame in frames]


def convert_to_ffv1(room: Room, options: Options) -> Video:
    target = room.folder / "out.mkv"
    convert(room.video, target, model="gainmap", device="cpu", codec="ffv1", batch=2, **options)
    with av.open(target) as container:
        return [split(frame.to_ndarray(format="yuv420p10le").tobytes()) for frame in container.decode(video=0)]


def convert_to_ffv1_as_on_a_gpu(room: Room, options: Options) -> Video:
    room.monkeypatch.setattr(plane_conversion, "PLANE_DEVICES", {"cpu"})
    return convert_to_ffv1(room, options)


PQ_DOORS: list[tuple[Callable[[Room, Options], Video], list[Options], int]] = [
    # door                        with these options  may differ by
    (plugin_to_pq,                [PLAIN, SMOOTH],    0),
    (vspipe_to_y4m,               [PLAIN],            0),
    (convert_to_ffv1,             [PLAIN, SMOOTH],    0),
    (convert_to_ffv1_as_on_a_gpu, [PLAIN],            1),  # whose arithmetic rounds otherwise than zimg's
]  # fmt: skip


# The table, run.


def rows(doors: list[tuple[Callable[..., Any], list[Options], Any]]) -> list[Any]:
    return [
        pytest.param(door, options, tolerance, id="-".join([door.__name__, *map(str, options.values())]))
        for door, settings, tolerance in doors
        for options in settings
    ]


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_door_clip(tmp_path_factory.mktemp("doors") / "clip.mkv")


@pytest.fixture
def room(video: Path, tmp_path: Path, vspipe, monkeypatch: pytest.MonkeyPatch) -> Room:
    return Room(video, tmp_path, vspipe, monkeypatch)


@pytest.fixture(scope="module")
def in_one_call(video: Path, one_thread: None) -> Callable[[Options], Tensor]:
    """`Expander.expand` of the whole clip, once for each set of options."""
    known: dict[str, Tensor] = {}

    def expand(options: Options) -> Tensor:
        if (key := repr(options)) not in known:
            source = open_source(video)
            expander = Expander("gainmap", eotf=source.signal.eotf, device="cpu", **options)
            known[key] = expander.expand(sdr_of(source))
        return known[key]

    return expand


def test_the_clip_is_a_hard_one(room: Room, in_one_call) -> None:
    """It has a cut, a flash and light to restore; its frames all differ, and smoothing changes them."""
    first, second = shots(signature(code) for code in room.sdr())
    assert (first.end, second.start, second.end) == (CUT, CUT, LENGTH)
    assert FLASH in second.flashes
    plain, smooth = in_one_call(PLAIN), in_one_call(SMOOTH)
    assert plain.max() > 2.0
    assert len({frame.numpy().tobytes() for frame in plain}) == LENGTH
    assert (plain - smooth).abs().max() > 0.05


@pytest.mark.parametrize(("door", "options", "tolerance"), rows(LIGHT_DOORS))
def test_light_is_the_same_through(door, options, tolerance, room, in_one_call) -> None:
    torch.testing.assert_close(door(room, options), in_one_call(options), atol=tolerance, rtol=0)


@pytest.mark.parametrize(("door", "options", "tolerance"), rows(PQ_DOORS))
def test_pq_is_the_same_through(door, options, tolerance, room, in_one_call) -> None:
    """As that which `core.resize` makes of the light of one call."""
    light = linear_as_clip(in_one_call(options), linear_properties(Primaries.BT709))
    wanted = vs.core.resize.Bilinear(light, **Delivery(output="pq").resize_arguments())
    found = door(room, options)
    assert len(found) == LENGTH
    for frame, planes in zip(wanted.frames(close=True), found, strict=True):
        for one, other in zip(planes_of(frame), planes, strict=True):
            assert np.abs(one.astype(int) - other.astype(int)).max() <= tolerance
