"""How near do models come to the truth, and how little do they flicker? Tables, JSON and contact sheets.

    python benchmarks/quality.py [--data PANORAMAS] [--models none expandmap ...] [--out FOLDER]
    python benchmarks/quality.py --weights gainmap=run/best.safetensors --weights expandnet=weights.pth
    python benchmarks/quality.py --export FOLDER        and, when another program has made EXRs of the PNGs:
    python benchmarks/quality.py --exr theirs=FOLDER

Scenes: the procedural harbour, synthetic panoramas, and of `--data` those pictures that training holds out.
Each is a clip of a few frames with exact flow, made into SDR under five conditions: `ideal` (hard clip, gamma
2.4), `camera` (unknown sigmoid curve, noise), `graded` (a shoulder that keeps some highlights), `broadcast`
(hard clip, H.264 at CRF 23) and `still` (one frame again and again, with fresh noise, each time compressed
anew). All is 8-bit and the same for all models.

Light is compared as a display of `--peak` nits would show it, with SDR white at 203 nits. Fidelity is scored on the
middle frame of each clip:

- PU21 dB and SSIM over the whole picture, as they are and after a correction that fits a camera response
  first and so forgives a wrong overall curve;
- highlights: error in stops where the SDR is clipped; its bias (negative: too dark); correlation there;
- deep: error in stops where the truth is a stop or more above SDR white, clipped or not;
- Delta E ITP: colour error where nothing is brighter than SDR white;
- equivariance: |f(T x) - T f(x)| in stops, T a small motion.

Over the whole clip: flicker along the flow beyond the truth's own, everywhere and in what is brighter than
SDR white; pumping of the whole picture; in `still` the change from one noisy copy to the next; with `--jod`,
ColorVideoVDP, plain and in a grey surround.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import record
import torch
from needs import find_missing
from quality_models import OPERATOR_PEAK, WHITE, Answer, entrants, export
from quality_report import METRICS, ContactSheet, print_tables
from quality_shots import FRAME_RATE, NAMES, Shot, footage, shoot
from rich.console import Console

from vshdr.colour.primaries import luminance
from vshdr.metrics import jod, stops
from vshdr.metrics.flicker import known_flow
from vshdr.metrics.flicker.equivariance import equivariance_error
from vshdr.metrics.itp import delta_e_itp
from vshdr.metrics.pu21 import pu21_psnr
from vshdr.metrics.response_correction import correct_camera_response
from vshdr.metrics.ssim import pu21_ssim

DEEP = 2.0
"""Times SDR white from which on a highlight counts as deep."""


def score(shot: Shot, answer: Answer, predictor: jod.Jod | None = None) -> dict[str, float]:
    """Return all metrics of one model on one shot; NaN for what a shot has not, such as clipped pixels."""
    frame = slice(shot.middle, shot.middle + 1)
    output, truth = answer.frames[frame], shot.truth[frame]
    clipped, beyond = shot.clipped[frame], shot.beyond[frame]
    nits, wanted = output * WHITE, truth * WHITE
    corrected = correct_camera_response(nits, wanted)
    scores = {
        "pu21_psnr": pu21_psnr(nits, wanted),
        "pu21_psnr_corrected": pu21_psnr(corrected, wanted),
        "pu21_ssim": pu21_ssim(nits, wanted),
        "pu21_ssim_corrected": pu21_ssim(corrected, wanted),
        "highlight_error": stops.error(output, truth, clipped),
        "highlight_bias": stops.bias(output, truth, clipped),
        "deep_error": stops.error(output, truth, luminance(truth) >= DEEP),
        "correlation": stops.correlation(output, truth, clipped),
        "delta_e_itp": float(delta_e_itp(nits, wanted)[~beyond].mean()),
    }
    if answer.moved is not None:
        scores["equivariance"] = equivariance_error(answer.moved, output, shot.move, shot.inside)
    if shot.condition == "still":
        scores["still"] = known_flow.still_instability(answer.frames, shot.valid)
        scores["still_highlights"] = known_flow.still_instability(answer.frames, shot.beyond)
    else:
        clip = (answer.frames, shot.truth, shot.grid)
        scores["flicker"] = known_flow.excess_flicker(*clip, shot.valid)
        scores["flicker_highlights"] = known_flow.excess_flicker(*clip, shot.valid & shot.beyond)
        scores["pumping"] = known_flow.global_pumping(*clip, shot.valid)
    if predictor is not None:
        clip_nits, truth_nits = answer.frames * WHITE, shot.truth * WHITE
        scores["jod"] = predictor(clip_nits, truth_nits)
        scores["jod_surround"] = predictor(clip_nits, truth_nits, surround=True)
    return scores


def named(pair: str) -> tuple[str, str]:
    """Return the two halves of NAME=PATH."""
    name, mark, path = pair.partition("=")
    if not (name and mark and path):
        raise argparse.ArgumentTypeError(f"'{pair}' is not NAME=PATH")
    return name, path


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="", metavar="FOLDER", help=".hdr and .exr pictures; those held out are taken")
    parser.add_argument("--limit", type=int, default=0, help="most pictures of --data; 0 for all")
    parser.add_argument("--models", nargs="+", default=[], metavar="NAME", help="default: all that are at hand")
    parser.add_argument("--conditions", nargs="+", default=NAMES, choices=NAMES)
    parser.add_argument("--weights", type=named, action="append", default=[], metavar="MODEL[:TEXT]=FILE")
    parser.add_argument(
        "--exr",
        type=named,
        action="append",
        default=[],
        metavar="NAME=FOLDER",
        help="EXRs of another program, linear BT.709, 1.0 = SDR white, named as --export names the PNGs",
    )
    parser.add_argument(
        "--export", type=Path, metavar="FOLDER", help="write what the models see as PNG, and score nothing"
    )
    parser.add_argument(
        "--out", type=Path, metavar="FOLDER", help="quality.json and a contact sheet per condition go here"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="for the results alone")
    parser.add_argument("--size", type=int, nargs=2, default=(480, 272), metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--frames", type=int, default=6, help="frames of each clip, at least 2")
    parser.add_argument("--own", type=int, default=4, help="synthetic panoramas")
    parser.add_argument("--harbour", type=int, default=1, help="clips of the procedural harbour, which render slowly")
    parser.add_argument(
        "--peak",
        type=float,
        default=4000.0,
        help=f"nits that the truth and networks end at; operators expand to {OPERATOR_PEAK:g}, which they are made for",
    )
    parser.add_argument(
        "--smooth", type=int, default=0, metavar="N", help="networks take part once more, with `smooth=N`; 0 for not"
    )
    parser.add_argument("--device", default="auto", help="of the models: auto, cpu or cuda")
    parser.add_argument("--jod", action="store_true", help="with ColorVideoVDP, which must be installed")
    parser.add_argument(
        "--quick", action="store_true", help="tiny pictures and few scenes: tries the program, not the models"
    )
    options = parser.parse_args(arguments)
    if options.quick:
        options.size, options.frames, options.own, options.limit = (96, 64), 3, 1, 1
    if options.frames < 2 or min(options.size) < 64 or any(side % 2 for side in options.size):
        parser.error("clips need at least 2 frames of even sides of at least 64")
    if not (options.data or options.own or options.harbour):
        parser.error("there is no scene: give --data, or leave --own and --harbour at more than 0")
    if options.jod and (missing := find_missing("pycvvdp")):
        parser.error(missing)
    labels = [label for label, _ in (*options.weights, *options.exr)]
    for label in {label for label in labels if labels.count(label) > 1}:
        parser.error(f"'{label}' is named twice; tell them apart, such as {label}:first=... and {label}:second=...")
    return options


def main(arguments: list[str] | None = None) -> None:
    options = parse(arguments)
    console = Console()
    if options.export:
        for shot in shots(options):
            export(shot, options.export)
        return
    folders = {name: Path(path) for name, path in options.exr}
    taking_part = entrants(
        dict(options.weights), folders, options.peak, options.device, tuple(options.models), options.smooth
    )
    if not console.is_terminal:  # a file or a pipe has no width to keep to
        console = Console(width=30 + 15 * len(taking_part))
    device = "cuda" if options.device != "cpu" and torch.cuda.is_available() else "cpu"
    predictor = jod.Jod(FRAME_RATE, device) if options.jod else None
    sheets = {condition: ContactSheet() for condition in options.conditions}
    records = []
    for shot in shots(options):
        started = time.monotonic()
        answers = {name: entrant(shot) for name, entrant in taking_part.items()}
        for name, answer in answers.items():
            place = {"scene": shot.scene, "condition": shot.condition, "model": name}
            records.append(place | score(shot, answer, predictor))
        sheets[shot.condition].add(shot, answers)
        console.print(f"{shot.name}: {time.monotonic() - started:.1f} s", style="dim")
    summary = record.means(records, METRICS)
    print_tables(summary, console)
    report = {
        "origin": record.provenance("quality", sys.argv[1:] if arguments is None else arguments),
        "settings": settings(options),
        "summary": summary,
        "scenes": records,
    }
    if options.json:
        record.write(options.json, report)
    if options.out:
        record.write(options.out / "quality.json", report)
        for condition, sheet in sheets.items():
            sheet.save(options.out / f"{condition}.png")


def shots(options: argparse.Namespace) -> Iterator[Shot]:
    """Yield all scenes, each under all conditions."""
    width, height = options.size
    reels = footage(
        options.data,
        frames=options.frames,
        width=width,
        height=height,
        own=options.own,
        harbour=options.harbour,
        limit=options.limit,
    )
    for reel in reels:
        for condition in options.conditions:
            yield shoot(reel, condition, options.peak / WHITE)


def settings(options: argparse.Namespace) -> dict[str, Any]:
    """Return what the scenes and the scores depend on."""
    chosen = ("size", "frames", "own", "harbour", "limit", "peak", "smooth", "quick")
    found = {name: getattr(options, name) for name in chosen} | {"white": WHITE, "operator_peak": OPERATOR_PEAK}
    return found | {"pictures": Path(options.data).name, "jod_display": jod.DISPLAY if options.jod else None}


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError, RuntimeError) as error:
        sys.exit(f"quality: {error}")
