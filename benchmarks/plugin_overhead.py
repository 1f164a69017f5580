"""How much time does the plugin's glue take? Ratios within one run.

    python benchmarks/plugin_overhead.py [--json FILE]

Frames of 16 x 16 cost next to nothing to compute. What is left is the price per frame of requests, batches and calls
into Python. It is compared with a filter that does nothing and with a Python ModifyFrame that returns its frame. At
1080p all of `Expand(model="none")` is compared with `Expander.expand` alone on the same frames. The difference is
copies in and out, and the fresh memory that torch gets on VapourSynth's threads (a loop on one thread reuses its own).
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the plugin does

import record
import torch
import vapoursynth as vs
from needs import find_missing_plugin

from vshdr import Expander
from vshdr.colour.h273 import ColourRange, Matrix, Primaries, Transfer

core: Any = vs.core  # whose stub knows no plugin's functions


class Cost(NamedTuple):
    """Seconds per frame: on the clock, and of all cores together."""

    wall: float
    cpu: float


Run = Callable[[], Cost]


def timed(work: Callable[[], object], frames: int) -> Cost:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return Cost((time.perf_counter() - wall) / frames, (time.process_time() - cpu) / frames)


def source(width: int, height: int, frames: int) -> vs.VideoNode:
    """Return linear RGBS of one frame, kept: neither decoding nor conversion nor a transfer function takes part."""
    clip = core.std.BlankClip(
        width=width, height=height, format=vs.RGBS, color=[0.7, 0.5, 0.3], length=frames, keep=True
    )
    return core.std.SetFrameProps(
        clip, _Matrix=Matrix.RGB, _Transfer=Transfer.LINEAR, _Primaries=Primaries.BT709, _Range=ColourRange.FULL
    )


def rendering(make: Callable[[], vs.VideoNode]) -> Run:
    """Render a new clip as a writer does, several requests at once, without counting its making and first frame."""

    def run() -> Cost:
        clip = make()
        clip.get_frame(clip.num_frames - 1).close()
        return timed(lambda: deque(clip.frames(close=True), maxlen=0), clip.num_frames)

    return run


def expanding(sdr: torch.Tensor, frames: int) -> Run:
    """Return the Expander without VapourSynth, on the same frame over and over."""
    expander = Expander("none", eotf="linear", device="cpu")

    def run() -> Cost:
        return timed(lambda: deque((expander.expand(sdr) for _ in range(frames)), maxlen=0), frames)

    return run


def measure(contestants: dict[str, Run], rounds: int) -> dict[str, Cost]:
    """Return the least of each, in turns, so that a change of the machine's mood meets all of them."""
    costs: dict[str, list[Cost]] = {name: [] for name in contestants}
    for _ in range(rounds + 1):  # the first round warms up
        for name, run in contestants.items():
            costs[name].append(run())
    return {name: Cost(*map(min, zip(*measured[1:], strict=True))) for name, measured in costs.items()}


def glue(frames: int = 2000) -> dict[str, Cost]:
    """Return seconds per 16x16 frame."""
    clip = source(16, 16, frames)
    return measure(
        {
            "source": rendering(lambda: clip),
            "no-op filter": rendering(lambda: core.std.SetFrameProps(clip, number=1)),
            "ModifyFrame pass-through": rendering(lambda: core.std.ModifyFrame(clip, clip, lambda n, f: f)),
            "Expander alone": expanding(torch.rand(1, 3, 16, 16), frames),
            "Expand, batch 1": rendering(lambda: core.hdr.Expand(clip, model="none", device="cpu", batch=1)),
            "Expand, batch 8": rendering(lambda: core.hdr.Expand(clip, model="none", device="cpu", batch=8)),
        },
        rounds=5,
    )


def full_size(frames: int = 48) -> dict[str, Cost]:
    """Return seconds per 1920x1080 frame."""
    clip = source(1920, 1080, frames)
    return measure(
        {
            "no-op filter": rendering(lambda: core.std.SetFrameProps(clip, number=1)),
            "ModifyFrame pass-through": rendering(lambda: core.std.ModifyFrame(clip, clip, lambda n, f: f)),
            "Expander alone": expanding(torch.rand(1, 3, 1080, 1920), frames),
            "Expand": rendering(lambda: core.hdr.Expand(clip, model="none", device="cpu")),
        },
        rounds=3,
    )


def report(title: str, costs: dict[str, Cost], reference: str) -> dict[str, dict[str, float]]:
    print(f"\n{title} (ratios to: {reference})\n{'':26}{'us per frame':>14}{'ratio':>8}{'us of CPU':>14}{'ratio':>8}")
    base, results = costs[reference], {}
    for name, cost in costs.items():
        results[name] = {
            "us": cost.wall * 1e6,
            "ratio": cost.wall / base.wall,
            "cpu_us": cost.cpu * 1e6,
            "cpu_ratio": cost.cpu / base.cpu,
        }
        print("{:26}{:14.1f}{:8.2f}{:14.1f}{:8.2f}".format(name, *results[name].values()))
    return results


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="file for the results")
    options = parser.parse_args(arguments)
    if missing := find_missing_plugin():
        parser.error(missing)
    results: dict[str, Any] = {
        "origin": record.provenance("plugin_overhead", sys.argv[1:] if arguments is None else arguments, "none"),
        "glue_16x16": report("16x16, the price of a frame", glue(), "ModifyFrame pass-through"),
        "full_size_1080p": report("1920x1080, model none", full_size(), "Expander alone"),
    }
    if options.json:
        record.write(options.json, results)


if __name__ == "__main__":
    main()
