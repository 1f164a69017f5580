"""`vshdr train`."""

from __future__ import annotations

import argparse
import math
from typing import Any

from vshdr.cli.command import Commands
from vshdr.cli.console import say
from vshdr.options.declare import add_arguments, from_arguments
from vshdr.options.train import TrainOptions


def add(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "train",
        help="train a network on HDR panoramas",
        description="Trains a network on linear HDR through a virtual camera; with torchrun, on several devices.",
    )
    add_arguments(parser, TrainOptions)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Train as the arguments say, and print each validation loss and a summary."""
    options = from_arguments(TrainOptions, arguments)
    from vshdr.training.loop import train

    def show(record: dict[str, Any]) -> None:
        if "validation" in record:
            say(f"step {record['step']}: validation loss {record['validation']['loss']:.4f}")

    summary = train(options, on_record=show)
    if math.isinf(summary.first):  # a process of a team that does not lead it; only the leader validates
        return
    say(
        f"ended after {summary.step} steps ({summary.reason}); validation loss from {summary.first:.4f} to "
        f"{summary.last:.4f}, best {summary.best:.4f} in {summary.weights}"
    )
