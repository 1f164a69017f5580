"""`vshdr encoder-args`: ffmpeg flags for a script or an HDR file."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from vshdr.cli.command import Commands


def add(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "encoder-args",
        help="the ffmpeg flags that a .vpy script or HDR file needs",
        description="Prints the ffmpeg flags that carry the colours and HDR10 metadata of a .vpy script's output, "
        "or of an HDR file, into an encode: vspipe -c y4m s.vpy - | ffmpeg -i - $(vshdr encoder-args s.vpy) o.mkv",
    )
    parser.add_argument("source", metavar="IN", help="a .vpy script whose output is PQ or HLG, or an HDR video")
    parser.add_argument("--codec", choices=("x265", "svtav1"), default="x265")
    parser.add_argument("--measure", action="store_true", help="play a script through once, for its MaxCLL and MaxFALL")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    from vshdr.inspect.encoder_flags import encoder_arguments

    flags = encoder_arguments(Path(arguments.source), arguments.codec, measure=arguments.measure)
    # To be pasted, parentheses must be quoted; in $(...) a shell would take the quotes for part of the flags.
    print(shlex.join(flags) if sys.stdout.isatty() else " ".join(flags))
