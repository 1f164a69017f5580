"""`vshdr models`."""

from __future__ import annotations

import argparse

from vshdr.cli.command import Commands


def add(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("models", help="list the models", description="Lists the models and what each is for.")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Print what each model is for, where it comes from and which weights it has."""
    from vshdr import models

    for name in models.names():
        card = models.card(name)
        print(name + (" (default)" if name == models.DEFAULT else ""))
        print(f"    {card.summary}\n    {card.source}")
        if card.weights:
            print(f"    weights: {', '.join(entry.name for entry in card.weights)}")
