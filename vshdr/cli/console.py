"""How commands speak to the user: on stderr, so that what they print on stdout can be piped."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn

console: Console = Console(stderr=True)


def say(text: str, *, style: str | None = None) -> None:
    """Print a line as it is: names of files may look like markup."""
    console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)


def progress_bar(*columns: ProgressColumn) -> Progress:
    """Return a context with a progress bar, `columns` behind it, which goes when the context ends.

    Where stderr is no terminal, nothing is shown: rich would leave an empty line there of a bar that is gone.
    """
    described = TextColumn("{task.description}", markup=False)  # file names may have [brackets]
    return Progress(described, BarColumn(), *columns, console=console, transient=True, disable=not console.is_terminal)
