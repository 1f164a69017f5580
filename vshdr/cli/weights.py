"""`vshdr weights`."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.progress import BarColumn, DownloadColumn, TextColumn
from rich.progress import Progress as RichProgress

from vshdr.cli.command import Commands
from vshdr.cli.console import console, say


def add(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "weights", help="list, fetch, convert and average weights", description="Weights of the networks."
    )
    actions = parser.add_subparsers(title="actions", required=True, metavar="ACTION")
    actions.add_parser("list", help="what can be had and what is here").set_defaults(run=_list_weights)
    fetch = actions.add_parser("fetch", help="download weights into the cache")
    fetch.add_argument("name", metavar="NAME", help="a name of `vshdr weights list`")
    fetch.set_defaults(run=_fetch_weights)
    convert = actions.add_parser("convert", help="check a published file and write it as safetensors")
    convert.add_argument("source", metavar="FILE", help="a .pth or .npz as published, or a .safetensors of training")
    convert.add_argument("target", metavar="OUT", nargs="?", help="a .safetensors file; beside FILE if not given")
    convert.add_argument("--half", action="store_true", help="round to half precision")
    convert.set_defaults(run=_convert_weights)
    mean = actions.add_parser("mean", help="write the mean of weights from several steps of one training")
    mean.add_argument("target", metavar="OUT", help="a .safetensors file")
    mean.add_argument("sources", metavar="FILE", nargs="+", help="weights of one network")
    mean.add_argument("--half", action="store_true", help="round to half precision")
    mean.set_defaults(run=_mean_weights)


def _list_weights(arguments: argparse.Namespace) -> None:
    from vshdr import models

    checks = {
        "packaged": "part of a package",
        "published": "checked against a published checksum",
        "recorded": "checked against the first download's checksum",
        "none": "the first download will be trusted, for no checksum is published",
    }
    for entry in models.catalogue().status():
        print(f"{entry.name} ({'here' if entry.path else 'not fetched'})")
        print(
            f"    for {entry.model}, {entry.size_text}, {entry.licence}; {checks[entry.checksum]}\n    {entry.summary}"
        )


def _fetch_weights(arguments: argparse.Namespace) -> None:
    from vshdr import models

    with RichProgress(TextColumn("{task.description}"), BarColumn(), DownloadColumn(), console=console) as bar:
        task = bar.add_task(arguments.name, total=None)

        def progress(done: int, total: int | None) -> None:
            bar.update(task, completed=done, total=total)

        path = models.catalogue().fetch(arguments.name, progress=progress)
    say(f"{arguments.name} is at {path}")


def _convert_weights(arguments: argparse.Namespace) -> None:
    from vshdr import models

    source = Path(arguments.source)
    target = Path(arguments.target) if arguments.target else source.with_suffix(".safetensors")
    say(f"wrote {target}: weights of {models.convert_weights(source, target, half=arguments.half)}")


def _mean_weights(arguments: argparse.Namespace) -> None:
    from vshdr import models

    model = models.average_weights(arguments.sources, arguments.target, half=arguments.half)
    say(f"wrote {arguments.target}: weights of {model}")
