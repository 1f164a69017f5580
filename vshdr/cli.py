"""The command `vshdr`: parses, calls, prints. What it does is done elsewhere."""

from __future__ import annotations

import argparse
import dataclasses
import math
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

import vshdr
from vshdr.options.convert import ConvertOptions
from vshdr.options.declare import add_arguments, from_arguments
from vshdr.options.expand import ExpandOptions
from vshdr.options.flicker import FlickerOptions
from vshdr.options.tools import CaptureOptions, CleanOptions
from vshdr.options.train import TrainOptions
from vshdr.runtime.files import check_reports

if TYPE_CHECKING:
    from vshdr.conversion.run import Progress, Summary

_console = Console(stderr=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit status: 0, 1 for what failed, 130 for an interruption."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except (ValueError, OSError, RuntimeError) as error:
        _console.print(f"vshdr: {_sentence(error)}", style="bold red", markup=False, highlight=False, soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        _console.print("vshdr: interrupted; what has its final name is complete", soft_wrap=True)
        return 130
    return 0


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error) or type(error).__name__


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="vshdr", description="SDR video to HDR video that does not flicker.")
    parser.add_argument("--version", action="version", version=f"vshdr {vshdr.__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_convert(commands)
    _add_shots(commands)
    _add_models(commands)
    _add_weights(commands)
    _add_encoder_args(commands)
    _add_flicker(commands)
    _add_train(commands)
    _add_camera(commands)
    _add_clean(commands)
    return parser


def _add_convert(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "convert", help="expand a clip to HDR video or EXR", description="Expands a clip to HDR."
    )
    parser.add_argument(
        "source", metavar="IN", help="a video, an image, a sequence (%%04d, #### or a folder) or a .vpy script"
    )
    parser.add_argument(
        "outputs",
        metavar="OUT",
        nargs="+",
        help="HDR video (.mkv, .mp4, .mov) or EXR sequence (shot.####.exr); several come from one pass",
    )
    add_arguments(parser.add_argument_group("expansion"), ExpandOptions)
    add_arguments(parser.add_argument_group("files"), ConvertOptions)
    parser.add_argument("--quiet", action="store_true", help="print errors only")
    parser.set_defaults(run=_convert)


def _convert(arguments: argparse.Namespace) -> None:
    options = {}
    for cls in (ExpandOptions, ConvertOptions):
        chosen = from_arguments(cls, arguments)  # checked here, before torch takes its seconds to load
        options.update({field.name: getattr(chosen, field.name) for field in dataclasses.fields(cls)})
    # Before torch is loaded: threads of it that spin while they wait would take the cores from the encoder.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from vshdr.conversion.run import convert
    from vshdr.runtime.memory import keep_what_is_freed

    keep_what_is_freed()
    if arguments.quiet:
        convert(arguments.source, *arguments.outputs, **options)
        return
    columns = (
        TextColumn("{task.description}", markup=False),  # file names may have [brackets]
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[limit]}", markup=False),
    )
    # Where nobody looks, rich would leave an empty line of a bar that is gone.
    with RichProgress(*columns, console=_console, transient=True, disable=not _console.is_terminal) as bar:
        task = bar.add_task(Path(arguments.source).name, total=None, speed="", limit="")

        def show(progress: Progress) -> None:
            speed = f"{progress.done / progress.seconds:.1f} fps" if progress.seconds else ""
            bar.update(
                task, completed=progress.done, total=progress.total, speed=speed, limit=f"limit: {progress.limiting}"
            )

        summary = convert(arguments.source, *arguments.outputs, on_progress=show, **options)
    _print_summary(summary, resumed=arguments.resume)


def _print_summary(summary: Summary, resumed: bool) -> None:
    fps = summary.frames / summary.seconds if summary.seconds else 0.0
    stages = ", ".join(f"{name} {seconds / summary.seconds:.0%}" for name, seconds in summary.busy.items())
    for path in summary.outputs:
        _print(f"wrote {path}")
    _print(f"{summary.frames} frames in {summary.seconds:.1f} s, {fps:.1f} fps; busy: {stages}")
    light = summary.light
    if summary.frames:  # else all was there already, and nothing was measured
        _print(
            ("of these frames: " if resumed else "")
            + f"MaxCLL {light['max_cll']:.0f} nits, MaxFALL {light['max_fall']:.0f}; 99.9 % of all pixels are below "
            f"{light['percentile_99_9']:.0f}, 99.99 % below {light['percentile_99_99']:.0f}"
        )
    for note in summary.notes:
        _print(f"note: {note}")


def _print(text: str) -> None:
    _console.print(text, markup=False, highlight=False, soft_wrap=True)


def _add_shots(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "shots",
        help="list the shots of a clip",
        description="Finds cuts, fades and flashes. Where a script's frames carry _SceneChangePrev, that is taken.",
    )
    parser.add_argument("source", metavar="IN", help="a video, a sequence (%%04d, #### or a folder) or a .vpy script")
    parser.add_argument("--csv", metavar="FILE", help="write the list as CSV")
    parser.add_argument("--chapters", metavar="FILE", help="write chapters as mkvmerge --chapters takes them")
    parser.add_argument("--allow-hdr", action="store_true", help="take a clip labelled PQ or HLG, too")
    parser.set_defaults(run=_shots)


def _shots(arguments: argparse.Namespace) -> None:
    check_reports((arguments.csv, arguments.chapters), [arguments.source])
    from vshdr.inspect.shots import clock_time, list_shots, write_chapters, write_csv

    found = []
    for timed in list_shots(arguments.source, allow_hdr=arguments.allow_hdr):
        shot, flashes = timed.shot, ""
        if shot.flashes:
            flashes = f", flashes at {', '.join(map(str, shot.flashes))}"
        print(f"{clock_time(timed.start)}  frames {shot.start}-{shot.end - 1}  {shot.begins}{flashes}", flush=True)
        found.append(timed)
    if arguments.csv:
        write_csv(arguments.csv, found)
    if arguments.chapters:
        write_chapters(arguments.chapters, found)


def _add_models(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("models", help="list the models", description="Lists the models and what each is for.")
    parser.set_defaults(run=_models)


def _models(arguments: argparse.Namespace) -> None:
    from vshdr import models

    for name in models.names():
        description = models.describe(name)
        print(name + (" (default)" if name == models.DEFAULT else ""))
        print(f"    {description.summary}\n    {description.source}")
        if description.weights:
            print(f"    weights: {', '.join(description.weights)}")


def _add_weights(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "weights", help="list, fetch and convert weights", description="Weights of the networks."
    )
    actions = parser.add_subparsers(title="actions", required=True, metavar="ACTION")
    actions.add_parser("list", help="what can be had and what is here").set_defaults(run=_list_weights)
    fetch = actions.add_parser("fetch", help="download weights into the cache")
    fetch.add_argument("name", metavar="NAME", help="a name of `vshdr weights list`")
    fetch.set_defaults(run=_fetch_weights)
    convert = actions.add_parser("convert", help="check a published file and write it as safetensors")
    convert.add_argument("source", metavar="FILE", help="a .pth or .npz as published, or a .safetensors of training")
    convert.add_argument("target", metavar="OUT", nargs="?", help="a .safetensors file; beside FILE if not given")
    convert.add_argument("--half", action="store_true", help="round to half precision")
    convert.set_defaults(run=_convert_weights)
    mean = actions.add_parser("mean", help="write the mean of weights from several moments of one training")
    mean.add_argument("target", metavar="OUT", help="a .safetensors file")
    mean.add_argument("sources", metavar="FILE", nargs="+", help="weights of one network")
    mean.add_argument("--half", action="store_true", help="round to half precision")
    mean.set_defaults(run=_mean_weights)


def _list_weights(arguments: argparse.Namespace) -> None:
    from vshdr import weights

    checks = {
        "packaged": "part of vshdr",
        "published": "checked against a published checksum",
        "recorded": "checked against the first download's checksum",
        "none": "the first download will be trusted, for no checksum is published",
    }
    for entry in weights.status():
        print(f"{entry.name} ({'here' if entry.path else 'not fetched'})")
        print(
            f"    for {entry.model}, {entry.size_text}, {entry.licence}; {checks[entry.checksum]}\n    {entry.summary}"
        )


def _fetch_weights(arguments: argparse.Namespace) -> None:
    from vshdr.weights import fetch

    with RichProgress(TextColumn("{task.description}"), BarColumn(), DownloadColumn(), console=_console) as bar:
        task = bar.add_task(arguments.name, total=None)
        path = fetch(arguments.name, progress=lambda done, total: bar.update(task, completed=done, total=total))
    _print(f"{arguments.name} is at {path}")


def _convert_weights(arguments: argparse.Namespace) -> None:
    from vshdr.weights import convert

    source = Path(arguments.source)
    target = Path(arguments.target) if arguments.target else source.with_suffix(".safetensors")
    _print(f"wrote {target}: weights of {convert(source, target, half=arguments.half)}")


def _mean_weights(arguments: argparse.Namespace) -> None:
    from vshdr.weights import mean

    model = mean(arguments.sources, arguments.target, half=arguments.half)
    _print(f"wrote {arguments.target}: weights of {model}")


def _add_encoder_args(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "encoder-args",
        help="the ffmpeg flags that a .vpy script or HDR file needs",
        description="Prints the ffmpeg flags that carry the colours and HDR10 metadata of a .vpy script's output, "
        "or of an HDR file, into an encode: vspipe -c y4m s.vpy - | ffmpeg -i - $(vshdr encoder-args s.vpy) o.mkv",
    )
    parser.add_argument("source", metavar="IN", help="a .vpy script whose output is PQ or HLG, or an HDR video")
    parser.add_argument("--codec", choices=("x265", "svtav1"), default="x265")
    parser.add_argument("--measure", action="store_true", help="play a script through once, for its MaxCLL and MaxFALL")
    parser.set_defaults(run=_encoder_args)


def _encoder_args(arguments: argparse.Namespace) -> None:
    from vshdr.inspect.encoder_flags import encoder_arguments

    flags = encoder_arguments(Path(arguments.source), arguments.codec, measure=arguments.measure)
    # To be pasted, parentheses must be quoted; in $(...) a shell would take the quotes for part of the flags.
    print(shlex.join(flags) if sys.stdout.isatty() else " ".join(flags))


def _add_flicker(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "flicker",
        help="measure how much clips flicker, and where",
        description="Measures the flicker of clips that show the same frames, beyond what their SDR source and the "
        "truth show: in total, by shot and frame by frame.",
    )
    parser.add_argument(
        "clips", metavar="CLIP", nargs="+", help="HDR or SDR video, an EXR sequence (shot.####.exr) or a .vpy script"
    )
    add_arguments(parser, FlickerOptions)
    parser.set_defaults(run=_flicker)


def _flicker(arguments: argparse.Namespace) -> None:
    options = from_arguments(FlickerOptions, arguments)
    check_reports((options.json, options.csv, options.html), [*arguments.clips, options.sdr, options.truth])
    # Before torch is loaded: on pictures this small, threads of torch that spin while they wait cost more than they do.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from vshdr.metrics.flicker.comparison import compare
    from vshdr.report.flicker_page import write_page
    from vshdr.report.flicker_tables import print_tables, write_csv, write_json

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with RichProgress(*columns, console=_console, transient=True, disable=not _console.is_terminal) as bar:
        task = bar.add_task("flicker", total=None)
        found = compare(arguments.clips, options, lambda done, total: bar.update(task, completed=done, total=total))
    console = Console()
    # A file or a pipe has no width to keep to.
    print_tables(found, console if console.is_terminal else Console(width=60 + 24 * len(found.clips)))
    for path, write in ((options.json, write_json), (options.csv, write_csv), (options.html, write_page)):
        if path:
            write(found, path)
            _print(f"wrote {path}")


def _add_train(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "train",
        help="train a network on HDR panoramas",
        description="Trains a network on linear HDR through a virtual camera; with torchrun, on several devices.",
    )
    add_arguments(parser, TrainOptions)
    parser.set_defaults(run=_train)


def _train(arguments: argparse.Namespace) -> None:
    options = from_arguments(TrainOptions, arguments)
    from vshdr.training.loop import train

    def show(record: dict[str, Any]) -> None:
        if "validation" in record:
            _print(f"step {record['step']}: validation loss {record['validation']['loss']:.4f}")

    summary = train(options, on_record=show)
    if math.isinf(summary.first):  # one of a team that does not lead it: only the leader validates
        return
    _print(
        f"ended after {summary.step} steps ({summary.reason}); validation loss from {summary.first:.4f} to "
        f"{summary.last:.4f}, best {summary.best:.4f} in {summary.weights}"
    )


def _add_camera(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "camera",
        help="write SDR and HDR pairs or moving clips",
        description="Writes what the virtual camera of the training sees: SDR as PNG, the truth as EXR, exact motion.",
    )
    parser.add_argument("folder", metavar="OUT", help="a new or empty folder")
    add_arguments(parser, CaptureOptions)
    parser.set_defaults(run=_camera)


def _camera(arguments: argparse.Namespace) -> None:
    options = from_arguments(CaptureOptions, arguments)
    from vshdr.camera.capture import write_pairs

    _print(f"wrote {write_pairs(arguments.folder, options)} frames to {arguments.folder}")


def _add_clean(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "clean",
        help="report outliers among training pictures",
        description="Reports pictures that do not look like the others; changes and deletes nothing.",
    )
    parser.add_argument("folder", metavar="IN", help="pictures, .exr and .hdr, or HDRCNN's bin and jpg folders")
    parser.add_argument("report", metavar="REPORT", help="folder for outliers.csv and outliers.png")
    add_arguments(parser, CleanOptions)
    parser.set_defaults(run=_clean)


def _clean(arguments: argparse.Namespace) -> None:
    options = from_arguments(CleanOptions, arguments)
    from vshdr.training.cleaning import clean

    findings = clean(arguments.folder, arguments.report, options)
    for finding in findings:
        if finding.flagged:
            print(f"{finding.path}: {finding.reason}")
    _print(f"{sum(finding.flagged for finding in findings)} of {len(findings)} pictures are flagged")
