"""`vshdr clean`: outliers among training pictures."""

from __future__ import annotations

import argparse

from vshdr.cli.command import Commands
from vshdr.cli.console import say
from vshdr.options.declare import add_arguments, from_arguments
from vshdr.options.tools import CleanOptions


def add(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "clean",
        help="report outliers among training pictures",
        description="Reports pictures that do not look like the others; changes and deletes nothing.",
    )
    parser.add_argument("folder", metavar="IN", help="pictures, .exr and .hdr, or HDRCNN's bin and jpg folders")
    parser.add_argument("report", metavar="REPORT", help="folder for outliers.csv and outliers.png")
    add_arguments(parser, CleanOptions)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    options = from_arguments(CleanOptions, arguments)
    from vshdr.training.cleaning import clean

    findings = clean(arguments.folder, arguments.report, options)
    for finding in findings:
        if finding.flagged:
            print(f"{finding.path}: {finding.reason}")
    say(f"{sum(finding.flagged for finding in findings)} of {len(findings)} pictures are flagged")
