"""Prints how much of each room of vshdr the tests ran, and the files with the most lines that they did not."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

SHOWN = 20  # files with the most lines that were not run


def main() -> None:
    """Read what `coverage combine` left and print the table."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "coverage.json")
        subprocess.run([sys.executable, "-m", "coverage", "json", "-q", "-o", report], check=True)
        files = json.loads(report.read_text())["files"]
    lines, missed = Counter(), Counter()
    for name, file in files.items():
        room = Path(name).parts[1] if len(Path(name).parts) > 2 else "(vshdr)"
        for key in (room, "all"):
            lines[key] += file["summary"]["num_statements"]
            missed[key] += file["summary"]["missing_lines"]
    print(f"{'room':<14}{'lines':>7}{'not run':>9}{'covered':>9}")
    for room in [*sorted(lines.keys() - {"all"}), "all"]:
        share = 1.0 - missed[room] / max(1, lines[room])
        print(f"{room:<14}{lines[room]:>7}{missed[room]:>9}{share:>9.1%}")
    print("\nfiles with the most lines that were not run")
    worst = sorted(files.items(), key=lambda item: -item[1]["summary"]["missing_lines"])[:SHOWN]
    for name, file in worst:
        if file["missing_lines"]:
            print(f"{len(file['missing_lines']):>5}  {name}: {spans(file['missing_lines'])}")


def spans(numbers: list[int]) -> str:
    """Return rising line numbers as spans, such as 3-5 9."""
    found: list[list[int]] = []
    for number in numbers:
        if found and number <= found[-1][1] + 2:  # a blank line or a bracket between two is none of its own
            found[-1][1] = number
        else:
            found.append([number, number])
    return " ".join(str(first) if first == last else f"{first}-{last}" for first, last in found)


if __name__ == "__main__":
    main()
