"""The command `vshdr`: parses and calls. Each command has a file of its own, and its work is done in other rooms."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import vshdr
from vshdr.cli import camera, clean, convert, encoder_args, flicker, models, shots, train, weights
from vshdr.cli.console import console
from vshdr.errors import sentence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status: 0, 1 for what failed, 130 for an interruption."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except (ValueError, OSError, RuntimeError) as error:
        console.print(f"vshdr: {sentence(error)}", style="bold red", markup=False, highlight=False, soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        console.print("vshdr: interrupted; what has its final name is complete", soft_wrap=True)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="vshdr", description="SDR video to HDR video that does not flicker.")
    parser.add_argument("--version", action="version", version=f"vshdr {vshdr.__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for command in (convert, shots, models, weights, encoder_args, flicker, train, camera, clean):
        command.add(commands)
    return parser
