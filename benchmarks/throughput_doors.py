"""Measurements of the ways into vshdr: device batches, the plugin, `convert`, and the time until the first frame."""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import subprocess
import sys
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any
from unittest import mock

import av
import numpy as np
import vapoursynth as vs
from throughput_work import expander_of

from vshdr import convert
from vshdr.colour.h273 import ColourRange, Matrix, Transfer
from vshdr.conversion import outputs
from vshdr.expand.device_batches import MOST_IN_FLIGHT, DeviceBatches, InFlightBatch
from vshdr.expand.plane_conversion import plane_conversion
from vshdr.media.content_light import ContentLightMeter
from vshdr.media.delivery import Delivery
from vshdr.media.read.reader import open_source
from vshdr.runtime.memory import keep_what_is_freed

MODEL = "gainmap"
type Row = dict[str, Any]
_BYTES_UP, _BYTES_DOWN = 1.5, 3.0  # per pixel of 4:2:0 in 8 bits, and in 10 bits in two bytes


def measure(
    options: argparse.Namespace, folder: Path, size_name: str, size: tuple[int, int], results: dict[str, Any]
) -> Iterator[Callable[[], dict[str, Any]]]:
    """Yield a function for each door that measures it with `gainmap` at one size. It returns frames per second, and for
    `convert` the seconds of each stage.
    """
    device, frames = options.device, 24 if options.device == "cpu" else 48
    path = _clip(folder / f"{size_name}.mp4", *size, frames)
    rows = [row for row in results["networks"] if (row["model"], row["size"]) == (MODEL, size_name)]
    limits = _limits(size, rows, results["machine"]["limits"]["bus_gb_per_s"])
    shares = {"network_cpu_s": min((row["cpu_s"] for row in rows), default=0.0)}

    def door(
        name: str, more: dict[str, Any], function: Callable[..., Any], *arguments: object
    ) -> Callable[[], dict[str, Any]]:
        return lambda: {"door": name, "size": size_name} | _alone(function, *arguments) | more

    name = "device batches: 8-bit planes to 10-bit PQ planes"
    yield door(name, limits, _device_batches, path, device, frames, 0)
    if device == "cuda" and size_name == "4k":  # compiling takes a minute
        yield door(f"{name}, fused", limits, _device_batches, path, device, frames, 1)
    yield door("core.hdr.Expand to PQ", {}, _plugin, *size, device, frames)
    for encoder in ("", *options.encoders):
        codec, _, preset = encoder.partition(":")
        name = f"convert to {codec or 'nothing'} {preset}".rstrip()
        yield door(name, shares, _convert, path, folder, device, codec, preset)


def _limits(size: tuple[int, int], rows: list[dict[str, Any]], bus: dict[str, float]) -> dict[str, Any]:
    """Return the frames per second that a GPU's bus or the network alone would allow; nothing for a CPU."""
    if not bus:
        return {}
    pixels = size[0] * size[1]
    seconds = {"bus up": pixels * _BYTES_UP / 1e9 / bus["up"], "bus down": pixels * _BYTES_DOWN / 1e9 / bus["down"]}
    if rows:
        seconds["network"] = min(row["network_s"] for row in rows)
    binding = max(seconds, key=lambda name: seconds[name])
    return {"bound_by": binding, "bound_fps": 1.0 / seconds[binding]}


def _alone(function: Callable[..., Any], *arguments: object) -> Any:
    """Return what `function` returns in a process of its own: earlier measurements leave the heap fragmented."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), initializer=keep_what_is_freed) as pool:
        return pool.submit(function, *arguments).result()


def _clip(path: Path, width: int, height: int, frames: int) -> Path:
    """Return a moving ramp with noise, as H.264."""
    generator = np.random.default_rng(1)
    ramp = np.linspace(0, 400, width, dtype=np.float32)[None, :, None] * np.array([1.0, 0.9, 0.8], np.float32)
    noise = generator.normal(0, 3, (height, width, 1)).astype(np.float32)
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=24, width=width, height=height, pix_fmt="yuv420p")
        stream.options = {"preset": "ultrafast", "crf": "20"}
        for number in range(frames):
            picture = np.clip(np.roll(ramp, 8 * number, 1) + noise, 0, 255).astype(np.uint8)
            output.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        output.mux(stream.encode())
    return path


def _device_batches(path: Path, device: str, frames: int, fuse: int) -> dict[str, Any]:
    """Return frames per second from planes in host memory to planes in host memory."""
    warnings.simplefilter("error")  # a fallback from the fused or the recorded way warns, and must not be measured
    source = open_source(path)
    planes = [frame.planes for frame in source]
    expander = expander_of(MODEL, device=device, eotf=source.signal.eotf, fuse=fuse)
    size = source.width, source.height
    conversion = plane_conversion(source.format_id, size, source.signal, source.properties, Delivery(output="pq"))
    device_batches = DeviceBatches.largest(expander, conversion, ContentLightMeter()) if conversion else None
    if device_batches is None:
        raise RuntimeError("the device has no memory for a batch")
    groups = [planes[at : at + device_batches.batch] for at in range(0, len(planes), device_batches.batch)]
    best = 0.0
    for _ in range(3):
        under_way: deque[InFlightBatch] = deque()
        start = time.perf_counter()
        for group in groups:
            under_way.append(device_batches.send(group))
            if len(under_way) == MOST_IN_FLIGHT:
                under_way.popleft().frames()
        while under_way:
            under_way.popleft().frames()
        best = max(best, frames / (time.perf_counter() - start))
    return {"fps": best}


def _plugin(width: int, height: int, device: str, frames: int) -> dict[str, Any]:
    core: Any = vs.core  # whose stub knows no plugin's functions

    def ramp(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        frame = f.copy()
        np.copyto(np.asarray(frame[0]), np.linspace(16, 250, width).astype(np.uint8))
        return frame

    blank = core.std.BlankClip(width=width, height=height, format=vs.YUV420P8, color=[180, 120, 130], length=1)
    blank = core.std.SetFrameProps(
        core.std.ModifyFrame(blank, blank, ramp),
        _Matrix=Matrix.BT709,
        _Transfer=Transfer.BT709,
        _Range=ColourRange.LIMITED,
    )
    blank = core.std.Loop(blank, frames)
    best = 0.0
    for _ in range(2):
        clip = core.hdr.Expand(blank, model=MODEL, output="pq", device=device)
        clip.get_frame(0).close()
        start = time.perf_counter()
        deque(clip.frames(close=True), maxlen=0)
        best = max(best, frames / (time.perf_counter() - start))
    return {"fps": best}


class _Nowhere:
    """A stand-in for `VideoWriter` that drops all frames."""

    left_out: tuple[str, ...] = ()

    def __init__(self, *arguments: object, **options: object) -> None: ...

    def __enter__(self) -> _Nowhere:
        return self

    def __exit__(self, *exception: object) -> None: ...

    def write(self, planes: object, pts: int, duration: int = 0) -> None: ...

    def finish(self, max_cll: float, max_fall: float) -> None: ...


def _convert(path: Path, folder: Path, device: str, codec: str, preset: str) -> dict[str, Any]:
    """Return frames per second, and per frame each stage's seconds and the seconds of all cores.

    An empty `codec` stands for no encoder.
    """
    start, target = time.process_time(), folder / "out.mkv"
    with contextlib.nullcontext() if codec else mock.patch.object(outputs, "VideoWriter", _Nowhere):
        done = convert(path, target, device=device, model=MODEL, codec=codec or "ffv1", preset=preset, overwrite=True)
    stages = {name.replace(" out.mkv", ""): seconds / done.frames for name, seconds in done.busy.items()}
    spent = time.process_time() - start
    return {"fps": done.frames / done.seconds, "stages": stages, "cpu_s": spent / done.frames}


def start_up(device: str) -> dict[str, float]:
    """Return seconds of a fresh process from its start to the first frame of 1080p, step by step."""
    code = f"""
import time
start = time.perf_counter()
def lap(name):
    global start
    print(name, time.perf_counter() - start, sep="\\t")
    start = time.perf_counter()
import vshdr
lap("import vshdr")
import torch
lap("import torch")
from vshdr import Expander
lap("import the rest")
expander = Expander({MODEL!r}, device={device!r})
lap("make the Expander")
frame = torch.rand(1, 3, 1080, 1920)
expander.expand(frame)
lap("first frame")
expander.expand(frame)
lap("second frame")
"""
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    total = time.perf_counter() - start
    laps = {name: float(seconds) for name, seconds in (line.split("\t") for line in done.stdout.splitlines())}
    return laps | {"the whole process": total}
