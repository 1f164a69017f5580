"""`vshdr convert`."""

from __future__ import annotations

import argparse
import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.progress import MofNCompleteColumn, TextColumn, TimeRemainingColumn

from vshdr.cli.command import Commands
from vshdr.cli.console import progress_bar, say
from vshdr.options.convert import ConvertOptions
from vshdr.options.declare import add_arguments, from_arguments
from vshdr.options.expand import ExpandOptions

if TYPE_CHECKING:
    from vshdr.conversion.run import Progress, Summary


def add(commands: Commands) -> None:
    """Add the command to the parser."""
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
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Convert as the arguments say, with a progress bar and a summary."""
    options: dict[str, Any] = {}
    for cls in (ExpandOptions, ConvertOptions):
        chosen = from_arguments(cls, arguments)  # checked here, before torch takes its seconds to be imported
        options.update({field.name: getattr(chosen, field.name) for field in dataclasses.fields(cls)})
    # Before torch is loaded: its threads spin while they wait, and would take the cores from the encoder.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from vshdr.conversion.run import convert
    from vshdr.runtime.memory import keep_what_is_freed

    keep_what_is_freed()
    if arguments.quiet:
        convert(arguments.source, *arguments.outputs, **options)
        return
    columns = (
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[limit]}", markup=False),
    )
    with progress_bar(*columns) as bar:
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
        say(f"wrote {path}")
    say(f"{summary.frames} frames in {summary.seconds:.1f} s, {fps:.1f} fps; busy: {stages}")
    light = summary.light
    if summary.frames:  # else all was there already, and nothing was measured
        say(
            ("of these frames: " if resumed else "")
            + f"MaxCLL {light['max_cll']:.0f} nits, MaxFALL {light['max_fall']:.0f}; 99.9 % of all pixels are below "
            f"{light['percentile_99_9']:.0f}, 99.99 % below {light['percentile_99_99']:.0f}"
        )
    for note in summary.notes:
        say(f"note: {note}")
