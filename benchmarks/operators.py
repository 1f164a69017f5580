"""Which model comes nearest to the truth on the procedural scene? The default model is the operator that leads here.

    python benchmarks/operators.py [--models none expandmap ...] [--json operators.json]

The scene is rendered in linear light, shown to three SDR cameras and expanded again. The truth is what a display of
1000 nits can show of it. Scores: PU21-PSNR in decibels over the whole picture, and the mean error in stops of the
luminance of pixels that the SDR clipped.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from vshdr import Expander, models
from vshdr.colour import luminance
from vshdr.metrics.pu21 import pu21_psnr
from vshdr.training.scene import camera_sdr, render

WHITE, PEAK = 203.0, 1000.0


def graded(linear: Tensor) -> Tensor:
    """A grader's curve: linear up to 0.5, above it a logarithmic shoulder that puts 8 times white at white."""
    knee, top = 0.5, 8.0
    shoulder = knee + (1 - knee) * torch.log(linear.clamp_min(knee) / knee) / torch.log(torch.tensor(top / knee))
    return camera_sdr(torch.where(linear < knee, linear, shoulder), curve="bt1886")


def conditions(generator: torch.Generator) -> dict[str, Callable[[Tensor], Tensor]]:
    """SDR cameras by name: linear light to code values of eight bits."""

    def eight_bit(sdr: Tensor) -> Tensor:
        return (sdr * 255).round() / 255

    return {
        "ideal": lambda light: eight_bit(camera_sdr(light, curve="bt1886")),
        "camera": lambda light: eight_bit(camera_sdr(light, curve="sigmoid", noise=0.01, generator=generator)),
        "graded": lambda light: eight_bit(graded(light)),
    }


def pictures(count: int, width: int, height: int) -> Iterator[Tensor]:
    """Views along the camera's path, 1 x 3 x H x W."""
    for index in range(count):
        yield render(3.0 * index / max(1, count - 1), width, height)[None]


def stops_off(linear: Tensor, truth: Tensor, clipped: Tensor) -> float:
    """Mean absolute error of luminance in stops where `clipped` (N x 1 x H x W) is set."""
    return float((luminance(linear) / luminance(truth)).clamp_min(1e-6).log2().abs()[clipped].mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    operators = [name for name in models.names() if not models.describe(name).weights]
    parser.add_argument("--models", nargs="+", default=operators, metavar="NAME")
    parser.add_argument("--views", type=int, default=5, help="pictures along the camera's path")
    parser.add_argument("--size", type=int, nargs=2, default=(640, 360), metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--json", type=Path, help="write the scores here, too")
    arguments = parser.parse_args()

    truths = list(pictures(arguments.views, *arguments.size))
    cameras = conditions(torch.Generator().manual_seed(0))
    shots = {name: [camera(truth) for truth in truths] for name, camera in cameras.items()}
    scores: dict[str, dict[str, dict[str, float]]] = {}
    for name in arguments.models:
        expander = Expander(name, white=WHITE, peak=PEAK)
        scores[name] = {}
        for condition, frames in shots.items():
            results = [score(expander, sdr, truth) for sdr, truth in zip(frames, truths, strict=True)]
            scores[name][condition] = {key: sum(result[key] for result in results) / len(results) for key in results[0]}

    table = Table("model", *(f"{name}: dB / stops" for name in cameras), "mean dB")
    for name, row in sorted(scores.items(), key=lambda item: -mean_psnr(item[1])):
        table.add_row(
            name, *(f"{row[c]['pu21_psnr']:.1f} / {row[c]['stops_off']:.2f}" for c in cameras), f"{mean_psnr(row):.2f}"
        )
    Console().print(table)
    if arguments.json:
        arguments.json.write_text(json.dumps(scores, indent=2) + "\n")


def score(expander: Expander, sdr: Tensor, truth: Tensor) -> dict[str, float]:
    """PU21-PSNR and the clipped area's error in stops of one picture."""
    linear, shown = expander.expand(sdr), truth.clamp(0.0, PEAK / WHITE)
    clipped = sdr.amax(dim=1, keepdim=True) >= 254 / 255
    return {"pu21_psnr": pu21_psnr(linear * WHITE, shown * WHITE), "stops_off": stops_off(linear, shown, clipped)}


def mean_psnr(row: dict[str, dict[str, float]]) -> float:
    """The mean over all cameras, which is what models are ranked by."""
    return sum(result["pu21_psnr"] for result in row.values()) / len(row)


if __name__ == "__main__":
    main()
