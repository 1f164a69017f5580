"""Is the flicker metric right, and which models flicker? Tables, JSON and a chart.

    python benchmarks/flicker.py [--out FOLDER] [--models gainmap expandmap ...] [--weights expandnet=weights.pth]
    python benchmarks/flicker.py --jod                  also with ColorVideoVDP (pip install vshdr[quality]), slow

1. Planted flicker. A steady HDR clip is multiplied with flicker of known amplitude, frequency and region, on a still
   picture and under a moving camera; the table says what share of it is found, along exact motion and along motion that
   is followed in the SDR, and what is found where nothing was planted. With `--jod`, whether the clips' order is that
   of ColorVideoVDP.
2. Models, as they are and with their gain smoothed over time (`--smooth` frames on either side): `still` (one frame
   with fresh noise, each time compressed anew), `camera` and `broadcast` (a moving camera with exact motion; noise, and
   H.264), and the bundled clip (motion is followed). Numbers are stops per frame: change of the gain, in highlights,
   beyond the truth's own; pumping and boiling of what is still.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import record
import torch
from flicker_planted import AMPLITUDES, agreement, measure, nothing, recover, standing
from needs import find_missing
from quality_models import OPERATOR_PEAK, WHITE, at_hand
from quality_shots import FRAME_RATE, Footage, footage, shoot
from rich.console import Console
from rich.table import Table

from vshdr import Expander, models
from vshdr.colour.transfer import EOTF
from vshdr.media.read.reader import open_source, read_sdr
from vshdr.metrics.flicker.frame_difference import downscale

CLIP = Path(__file__).parent.parent / "scripts" / "clip" / "harbour.mp4"
CONDITIONS = ("still", "camera", "broadcast")
SHOWN = {
    "excess": "flicker",
    "excess_highlights": "  in highlights",
    "beyond_truth": "beyond the truth",
    "beyond_truth_highlights": "  in highlights",
    "pumping": "pumping",
    "boiling": "boiling",
}
_PEAK = 4000.0


def expanders(options: argparse.Namespace) -> dict[str, Expander]:
    """Return the models that take part, each also smoothed; those whose gain is the same for every picture are not."""
    files = dict(pair.split("=", 1) for pair in options.weights)
    found = {}
    for name in options.models or models.names():
        network = models.card(name).network
        if network and name not in files and not at_hand(name):
            continue
        chosen = {"white": WHITE, "peak": _PEAK if network else OPERATOR_PEAK, "weights": files.get(name, "")}
        chosen["device"] = options.device
        found[name] = Expander(name, **chosen)
        if options.smooth and (network or name == "expandmap"):
            found[f"{name}, smoothed"] = Expander(name, smooth=options.smooth, **chosen)
        if options.smooth and network:
            found[f"{name}, percentile"] = Expander(name, smooth=options.smooth, smooth_mode="percentile", **chosen)
    return found


def score(taking_part: dict[str, Expander], reels: list[Footage]) -> Iterator[dict[str, Any]]:
    """Yield each model on each reel under each condition, the truth among them."""
    for reel in reels:
        for condition in CONDITIONS:
            shot = shoot(reel, condition, _PEAK / WHITE)
            sdr = EOTF["bt1886"](shot.sdr)
            path = Footage(name=reel.name, light=reel.light, grid=shot.grid, valid=shot.valid)
            clips = {name: expander.expand(shot.sdr) for name, expander in taking_part.items()} | {"truth": shot.truth}
            for name, clip in clips.items():
                meter = measure(clip, sdr, path, exactly=True, truth=shot.truth)
                yield {"reel": reel.name, "condition": condition, "model": name, **meter.totals()}


def score_clip(taking_part: dict[str, Expander], frames: int, width: int) -> Iterator[dict[str, Any]]:
    """Yield each model on the bundled clip, whose truth is not known; motion is followed."""
    codes = torch.stack([downscale(code[None], width)[0] for _, code in islice(read_sdr(open_source(CLIP)), frames)])
    still = torch.zeros(len(codes), 1, 1, 2)
    path = Footage(name=CLIP.stem, light=codes, grid=still, valid=still[..., :1] > 0)
    for name, expander in taking_part.items():
        meter = measure(expander.expand(codes), EOTF["bt1886"](codes), path, exactly=False)
        yield {"reel": CLIP.stem, "condition": "bundled clip", "model": name, **meter.totals()}


def print_planted(rows: list[dict[str, Any]], zeros: list[dict[str, Any]], console: Console) -> None:
    """Print what was found of planted flicker, and what was found where there was none."""
    table = Table(
        "", "planted", "found, exact motion", "found, followed motion", title="Planted flicker", header_style=""
    )
    for row in rows:
        shares = [f"{row[way]:.4f} ({row[way] / row['planted']:.0%})" for way in ("exact", "followed")]
        table.add_row(f"{row['reel']}: {row['plant']}", f"{row['planted']:.4f}", *shares)
    console.print(table)
    names = [name for name in zeros[0] if name != "reel"]
    table = Table("", *names, title="Nothing planted: stops per frame that are found", header_style="")
    for zero in zeros:
        table.add_row(zero["reel"], *(f"{zero[name]:.5f}" for name in names))
    console.print(table)


def print_models(summary: dict[str, dict[str, dict[str, float]]], console: Console) -> None:
    """Print a table per condition: a row per model, a column per metric."""
    for condition, rows in summary.items():
        names = [key for key in SHOWN if any(key in row for row in rows.values())]
        table = Table("", *(SHOWN[key] for key in names), title=condition, header_style="", title_justify="left")
        for model, row in rows.items():
            table.add_row(model, *(f"{row[key]:.4f}" if key in row else "-" for key in names))
        console.print(table)


def plot(rows: list[dict[str, Any]], summary: dict[str, dict[str, dict[str, float]]], path: Path) -> None:
    """Draw found against planted flicker, and the models' flicker in highlights, as a PNG. It needs matplotlib."""
    import matplotlib  # pyright: ignore[reportMissingImports]  # an extra that may not be installed

    matplotlib.use("agg")
    from matplotlib import pyplot  # pyright: ignore[reportMissingImports]

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(12, 4.6), width_ratios=(1, 1.5), layout="constrained")
    for kind, mark in (("whole", "o"), ("region", "s"), ("boil", "^")):
        own = [row for row in rows if row["kind"] == kind]
        planted = [row["planted"] for row in own]
        left.loglog(planted, [row["followed"] for row in own], mark, alpha=0.7, label=f"{kind}, motion followed")
    ends = [min(row["planted"] for row in rows), max(row["planted"] for row in rows)]
    left.plot(ends, ends, "-", color="0.5", linewidth=1, zorder=0)
    left.set(title="Planted flicker and what is found", xlabel="planted, stops per frame", ylabel="found")
    left.legend(frameon=False)
    names = list(dict.fromkeys(name for rows in summary.values() for name in rows))
    height = 0.8 / len(summary)
    for number, (condition, models_) in enumerate(summary.items()):
        values = [models_.get(name, {}).get("excess_highlights", 0.0) for name in names]
        places = [place + (number - (len(summary) - 1) / 2) * height for place in range(len(names))]
        right.barh(places, values, height, label=condition)
    right.set(title="Flicker in highlights", xlabel="change of gain, stops per frame", yticks=range(len(names)))
    right.set_yticklabels(names)
    right.invert_yaxis()
    right.legend(frameon=False)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", default="", metavar="FOLDER", help="HDR pictures; those that training holds out are taken"
    )
    parser.add_argument("--limit", type=int, default=3, help="most pictures of --data")
    parser.add_argument("--models", nargs="*", default=[], metavar="NAME", help="default: all that are at hand")
    parser.add_argument("--weights", action="append", default=[], metavar="MODEL=FILE")
    parser.add_argument("--smooth", type=int, default=2, help="frames on either side of smoothed models; 0 for none")
    parser.add_argument("--size", type=int, nargs=2, default=(320, 180), metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--own", type=int, default=2, help="synthetic panoramas")
    parser.add_argument("--amplitudes", type=float, nargs="+", default=AMPLITUDES, help="that are planted, in stops")
    parser.add_argument("--jod", action="store_true", help="with ColorVideoVDP, which must be installed")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--no-plot", action="store_true", help="without flicker.png, which needs matplotlib")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="flicker.json and flicker.png go here")
    parser.add_argument("--json", type=Path, metavar="FILE", help="for the results alone")
    options = parser.parse_args(arguments)
    wanted = (["pycvvdp"] if options.jod else []) + (["matplotlib"] if options.out and not options.no_plot else [])
    if missing := find_missing(*wanted):
        parser.error(missing)
    if options.frames < 4 or not (options.own or options.data):
        parser.error("at least 4 frames and one scene are needed")
    unknown = [name for name in options.models if name not in models.names()]
    if unknown or any("=" not in pair for pair in options.weights):
        parser.error(f"models are {', '.join(models.names())}; weights are MODEL=FILE")
    return options


def main(arguments: list[str] | None = None) -> None:
    options = parse(arguments)
    console = Console() if sys.stdout.isatty() else Console(width=160)
    width, height = options.size
    shape = {"frames": options.frames, "width": width, "height": height}
    reels = list(footage(options.data, **shape, own=options.own, harbour=0, limit=options.limit))
    first = reels[0]
    rows = [row for reel in (standing(first), first) for row in recover(reel, options.amplitudes)]
    zeros = [nothing(reel, bits) for reel in (standing(first), *reels) for bits in (8, 16)]
    print_planted(rows, zeros, console)
    report = {"origin": record.provenance("flicker", sys.argv[1:] if arguments is None else arguments)}
    report |= {"frame_rate": FRAME_RATE, "size": [width, height], "frames": options.frames}
    report |= {"planted": rows, "nothing": zeros}
    if options.jod:
        report["agreement"] = agreement(standing(first))
        ranks = {key: report["agreement"][key] for key in ("excess", "excess_pu21")}
        console.print(f"rank correlation with ColorVideoVDP: {ranks}")
    taking_part = expanders(options)
    records = [*score(taking_part, reels), *score_clip(taking_part, options.frames, width)]
    summary = record.means(records, SHOWN)
    print_models(summary, console)
    report |= {"models": summary, "records": records}
    if options.json:
        record.write(options.json, report)
    if options.out:
        record.write(options.out / "flicker.json", report)
        if not options.no_plot:
            plot(rows, summary, options.out / "flicker.png")


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError, RuntimeError) as error:
        sys.exit(f"flicker: {error}")
