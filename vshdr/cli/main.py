"""The command `vshdr`: parses and calls. Each command has a file of its own, and its work is done in other rooms."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from vshdr import __version__
from vshdr.cli import camera, clean, convert, encoder_args, flicker, models, shots, train, weights
from vshdr.cli.command import Command
from vshdr.cli.console import say
from vshdr.errors import VshdrError, sentence

COMMANDS: tuple[Command, ...] = (convert, shots, models, weights, encoder_args, flicker, train, camera, clean)
"""In the order of `vshdr --help`."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status: 0, 1 for what failed, 130 for an interruption.

    argparse itself exits with 2 where the arguments make no sense.
    """
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except (VshdrError, OSError, ValueError, RuntimeError) as error:  # the last two are mostly PyTorch's and NumPy's
        say(f"vshdr: {sentence(error)}", style="bold red")
        return 1
    except KeyboardInterrupt:
        say("vshdr: interrupted; what has its final name is complete")
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="vshdr", description="SDR video to HDR video that does not flicker.")
    parser.add_argument("--version", action="version", version=f"vshdr {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    return parser
