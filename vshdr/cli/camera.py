"""`vshdr camera`: pairs and clips as the training sees them."""

from __future__ import annotations

import argparse

from vshdr.cli.command import Commands
from vshdr.cli.console import say
from vshdr.options.declare import add_arguments, from_arguments
from vshdr.options.tools import CaptureOptions


def add(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "camera",
        help="write SDR and HDR pairs or moving clips",
        description="Writes what the virtual camera of the training sees: SDR as PNG, the truth as EXR, exact motion.",
    )
    parser.add_argument("folder", metavar="OUT", help="a new or empty folder")
    add_arguments(parser, CaptureOptions)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    options = from_arguments(CaptureOptions, arguments)
    from vshdr.camera.capture import write_pairs

    say(f"wrote {write_pairs(arguments.folder, options)} frames to {arguments.folder}")
