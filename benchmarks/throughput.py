"""How fast is it, what limits it, and does the fast way give what the slow one gives? Tables, JSON and a chart.

    python benchmarks/throughput.py [--out FOLDER] [--device cpu|cuda] [--sizes 720p 1080p 4k] [--models gainmap ...]

It measures, on the CPU or on the GPU:

- frames per second of the network alone, of `Expander` with frames from and to host memory, of device batches (integer
  planes in, integer planes out), of `core.hdr.Expand` to PQ without an encoder, and of `convert` without an encoder and
  with real ones;
- peak memory, the share of the roofline, and where a frame's time goes;
- how time grows with frames, pixels and batch, and the time from import to the first frame.

Speed is also given as a multiple of ExpandNet's as its authors run it (PyTorch eager, float32, one frame at a time).
The limits of the machine (multiplications per second, its memory, the bus) are measured in the same run. The best of
several runs counts, because other programs may share the machine.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the plugin and the command do

import record
import throughput_doors as doors
import throughput_machine as machine
import throughput_report as report
import throughput_work as work
import torch
import vapoursynth as vs
from needs import find_missing, find_missing_plugin

from vshdr import models
from vshdr.runtime.memory import keep_what_is_freed

SIZES = {"360p": (640, 360), "720p": (1280, 720), "1080p": (1920, 1080), "4k": (3840, 2160)}
SEED = "1, of the noise in the frames"
REFERENCE_PIXELS = 1920 * 1080  # the largest frame that ExpandNet gets on a CPU: its tensors take 4 KiB per pixel


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cuda = torch.cuda.is_available()
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda" if cuda else "cpu")
    parser.add_argument("--models", nargs="+", default=["gainmap", "expandnet"] if cuda else ["gainmap", "none"])
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=["720p", "1080p", "4k"])
    parser.add_argument("--precisions", nargs="+", default=["fp32", "bf16", "fp16"] if cuda else ["fp32", "bf16"])
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 4] if cuda else [1])
    parser.add_argument("--encoders", nargs="*", default=["x265:medium", "x265:ultrafast", "svtav1:10", "ffv1:"])
    parser.add_argument(
        "--seconds", type=float, default=0.5 if cuda else 1.5, help="of each measurement, three runs at least"
    )
    parser.add_argument("--no-reference", action="store_true", help="without ExpandNet, which takes long on a CPU")
    parser.add_argument("--no-doors", action="store_true", help="without the plugin, convert and the start-up")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="for throughput.json and throughput.png")
    parser.add_argument("--json", type=Path, metavar="FILE", help="for the results alone")
    parser.add_argument("--no-plot", action="store_true", help="without throughput.png, which needs matplotlib")
    options = parser.parse_args(arguments)
    if options.out and not options.no_plot and (missing := find_missing("matplotlib")):
        parser.error(missing)
    if not options.no_doors and (missing := find_missing_plugin()):
        parser.error(f"{missing} (--no-doors measures the rest)")
    return options


def main(arguments: list[str] | None = None) -> None:
    options = parse(arguments)
    keep_what_is_freed()
    torch.backends.cudnn.allow_tf32 = False  # what is called fp32 here has all its bits
    clock = machine.Clock(options.device, options.seconds)
    files = [options.out / "throughput.json"] if options.out else []
    results = _Results(files + ([options.json] if options.json else []))
    results["origin"] = record.provenance("throughput", sys.argv[1:] if arguments is None else arguments, SEED)
    results["machine"] = machine.facts(clock)
    results["reference"] = dict(results.attempt(_references(options, clock)))
    limits, reference = results["machine"]["limits"], results["reference"]
    results["networks"] = [
        row | work.shares(row, limits, reference.get(row["size"]))
        for model in options.models
        for name in options.sizes
        for row in results.attempt(work.networks(clock, model, name, SIZES[name], options.precisions, options.batches))
    ]
    results["parity"] = [
        row
        for model in options.models
        for row in results.attempt(work.parity(options.device, model, options.precisions))
    ]
    results["stages"] = work.stages(clock, SIZES["1080p"]) if options.device == "cpu" else {}
    results["growth"] = work.growth(clock, models.DEFAULT, SIZES)
    if not options.no_doors:
        results["doors"] = []
        with tempfile.TemporaryDirectory() as folder:
            for name in options.sizes:
                for door in doors.measure(options, Path(folder), name, SIZES[name], results):
                    results["doors"] = [*results["doors"], *results.attempt(measure() for measure in (door,))]
        results["start_up"] = doors.start_up(options.device)
    report.print_tables(results)
    if options.out and not options.no_plot:
        report.plot(results, options.out / "throughput.png")


class _Results(dict[str, Any]):
    """The results, written to files whenever something is added: a long run that is cut off leaves what it found."""

    def __init__(self, files: Sequence[Path]) -> None:
        super().__init__()
        self._files = files

    def __setitem__(self, key: str, value: object) -> None:
        super().__setitem__(key, value)
        for file in self._files:
            record.write(file, dict(self))

    def attempt[Row](self, rows: Iterator[Row]) -> Iterator[Row]:
        """Yield the rows up to one that fails, and print why it did: the other measurements go on."""
        try:
            yield from rows
        except (OSError, ValueError, RuntimeError, vs.Error) as error:
            print(f"left out: {error}", file=sys.stderr)


def _references(options: argparse.Namespace, clock: machine.Clock) -> Iterator[tuple[str, float]]:
    for name in options.sizes:
        width, height = SIZES[name]
        if not options.no_reference and (options.device == "cuda" or width * height <= REFERENCE_PIXELS):
            yield name, work.reference(clock, width, height)


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError, RuntimeError) as error:
        sys.exit(f"throughput: {error}")
