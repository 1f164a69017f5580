"""`vshdr flicker`: how much clips flicker, and where."""

from __future__ import annotations

import argparse
import os

from rich.console import Console
from rich.progress import MofNCompleteColumn, TimeRemainingColumn

from vshdr.cli.command import Commands
from vshdr.cli.console import progress_bar, say
from vshdr.options.declare import add_arguments, from_arguments
from vshdr.options.flicker import FlickerOptions
from vshdr.runtime.files import check_reports


def add(commands: Commands) -> None:
    """Add the command to the parser."""
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
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    options = from_arguments(FlickerOptions, arguments)
    check_reports((options.json, options.csv, options.html), [*arguments.clips, options.sdr, options.truth])
    # Before torch is loaded: on pictures this small, its threads would spend more time spinning than working.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from vshdr.metrics.flicker.comparison import compare
    from vshdr.report.flicker_page import write_page
    from vshdr.report.flicker_tables import print_tables, write_csv, write_json

    with progress_bar(MofNCompleteColumn(), TimeRemainingColumn()) as bar:
        task = bar.add_task("flicker", total=None)
        found = compare(arguments.clips, options, lambda done, total: bar.update(task, completed=done, total=total))
    tables = Console()
    # A file or a pipe has no width to keep to.
    print_tables(found, tables if tables.is_terminal else Console(width=60 + 24 * len(found.clips)))
    for path, write in ((options.json, write_json), (options.csv, write_csv), (options.html, write_page)):
        if path:
            write(found, path)
            say(f"wrote {path}")
