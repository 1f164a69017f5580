"""What a file of this room is to `vshdr.cli.main`: something that adds a command."""

from __future__ import annotations

import argparse
from typing import Protocol

type Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # pyright: ignore[reportPrivateUsage]
"""What commands are added to. argparse has no public name for it."""


class Command(Protocol):
    """A module that is a command."""

    def add(self, commands: Commands) -> None:
        """Add the command's parser.

        Its default `run` is a function of the parsed arguments, which does the work or raises what
        `vshdr.cli.main.main` makes a sentence of.
        """
        ...
