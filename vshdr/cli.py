"""The command `vshdr`: parses, calls, prints. What it does is done elsewhere."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

import vshdr
from vshdr.options import add_arguments, from_arguments

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
        _console.print("vshdr: interrupted; nothing was written under a final name that is not complete", soft_wrap=True)
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
    _add_models(commands)
    _add_weights(commands)
    _add_encoder_args(commands)
    return parser


def _add_convert(commands: argparse._SubParsersAction) -> None:
    # Imported here: it brings torch, which the other commands can do without.
    from vshdr.expander import ExpandOptions
    from vshdr.outputs import ConvertOptions

    parser = commands.add_parser("convert", help="expand a clip to HDR video or EXR", description="Expands a clip to HDR.")
    parser.add_argument("source", metavar="IN", help="a video, an image, a sequence (%%04d, #### or a folder) or a .vpy script")
    parser.add_argument("outputs", metavar="OUT", nargs="+",
                        help="HDR video (.mkv, .mp4, .mov) or EXR sequence (shot.####.exr); several come from one pass")
    add_arguments(parser.add_argument_group("expansion"), ExpandOptions)
    add_arguments(parser.add_argument_group("files"), ConvertOptions)
    parser.add_argument("--quiet", action="store_true", help="print errors only")
    parser.set_defaults(run=_convert)
