"""`vshdr shots`: cuts, fades and flashes of a clip."""

from __future__ import annotations

import argparse

from vshdr.cli.command import Commands
from vshdr.runtime.files import check_reports


def add(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "shots",
        help="list the shots of a clip",
        description="Finds cuts, fades and flashes. Where a script's frames carry _SceneChangePrev, that is taken.",
    )
    parser.add_argument("source", metavar="IN", help="a video, a sequence (%%04d, #### or a folder) or a .vpy script")
    parser.add_argument("--csv", metavar="FILE", help="write the list as CSV")
    parser.add_argument("--chapters", metavar="FILE", help="write chapters as mkvmerge --chapters takes them")
    parser.add_argument("--allow-hdr", action="store_true", help="take a clip labelled PQ or HLG, too")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    check_reports((arguments.csv, arguments.chapters), [arguments.source])
    from vshdr.inspect.shots import clock_time, list_shots, write_chapters, write_csv

    found = []
    for timed in list_shots(arguments.source, allow_hdr=arguments.allow_hdr):
        shot, flashes = timed.shot, ""
        if shot.flashes:
            flashes = f", flashes at {', '.join(map(str, shot.flashes))}"
        print(f"{clock_time(timed.start)}  frames {shot.start}-{shot.end - 1}  {shot.begins}{flashes}", flush=True)
        found.append(timed)
    if arguments.csv:
        write_csv(arguments.csv, found)
    if arguments.chapters:
        write_chapters(arguments.chapters, found)
