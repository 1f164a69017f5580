"""Where commands speak: the terminal, or a pipe."""

from __future__ import annotations

from rich.console import Console

console = Console(stderr=True)


def say(text: str) -> None:
    """Print a line to the user, as it is: names of files may look like markup."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)
