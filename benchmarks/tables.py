"""Write the figures of the committed results into the documentation, and draw its charts.

    python benchmarks/tables.py

A page marks where a block of figures goes:

    <!-- figures: quality -->
    ...
    <!-- end -->

Everything between the marks is replaced by what a function below makes of a file in `benchmarks/results/`, so no
figure is copied by hand. Charts carry the SHA-256 of the results that they were drawn from. The test
`tests/benchmarks/test_tables.py` fails where a page or a chart does not match the results.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from needs import find_missing
from PIL import Image, PngImagePlugin

BENCHMARKS = Path(__file__).parent
RESULTS = BENCHMARKS / "results"
PAGES = BENCHMARKS.parent / "docs"
CONDITIONS = ("ideal", "camera", "graded", "broadcast", "still")
MODELS = ("none", "bt2446a", "expandmap", "gainmap")
"""The models in the table of quality, the default last."""
OPERATORS = ("none", "bt2446a", "akyuz", "expandmap", "knee")

Results = Mapping[str, Any]
_BLOCK = re.compile(r"(<!-- figures: ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def quality(results: Results) -> str:
    """Return fidelity and flicker of the models, by condition."""
    summary = results["summary"]
    rows = []
    for model in MODELS:
        cells = [
            "{pu21_psnr_corrected:.1f} / {highlight_error:.2f}".format_map(summary[condition][model])
            for condition in CONDITIONS
        ]
        colour = _mean(summary, model, "delta_e_itp")
        rows.append([f"`{model}`", *cells, f"{colour:.1f}", f"{_mean(summary, model, 'flicker_highlights'):.3f}"])
    return _table(["", *CONDITIONS, "Delta E ITP, mean", "flicker in highlights, mean"], rows)


def highlights(results: Results) -> str:
    """Return what is known of highlights beside their mean error."""
    summary = results["summary"]
    rows = []
    for model in ("none", "oracle_const", "gainmap"):
        cells = [f"{summary[condition][model]['highlight_error']:.2f}" for condition in CONDITIONS]
        cells += [f"{_mean(summary, model, metric):.2f}" for metric in ("correlation", "deep_error")]
        rows.append([f"`{model}`", *cells])
    return _table(["", *CONDITIONS, "correlation, mean", "error beyond twice white, mean"], rows)


def jod(results: Results) -> str:
    """Return JOD of the default model, of no expansion and of the best operator under each condition."""
    summary = results["summary"]
    rows = [
        [f"`{model}`", *(f"{summary[condition][model]['jod_surround']:.1f}" for condition in CONDITIONS)]
        for model in ("none", "gainmap")
    ]
    best = []
    for condition in CONDITIONS:
        scores = {model: summary[condition][model]["jod_surround"] for model in OPERATORS}
        name = max(scores, key=lambda model: scores[model])
        best.append(f"{scores[name]:.1f} (`{name}`)")
    return _table(["", *CONDITIONS], [rows[0], ["the best operator", *best], rows[1]])


def smoothing(results: Results) -> str:
    """Return what `smooth` does to flicker and to the error in highlights."""
    summary = results["summary"]
    moving = [condition for condition in CONDITIONS if condition != "still"]
    rows = []
    for model, name in (("none", "`none`"), ("gainmap", "`gainmap`"), ("gainmap, smoothed", _smoothed(results))):
        flicker = [f"{summary[condition][model]['flicker_highlights']:.3f}" for condition in moving]
        rows.append([name, f"{summary['still'][model]['still_highlights']:.3f}", *flicker])
        rows[-1].append(f"{_mean(summary, model, 'highlight_error'):.2f}")
    return _table(["", "still", *moving, "error in clipped highlights, mean"], rows)


def flicker(results: Results) -> str:
    """Return how much the models flicker in highlights."""
    models, conditions = results["models"], list(results["models"])
    rows = []
    for model in ("expandmap", "gainmap", "expandnet"):
        for variant in (model, f"{model}, smoothed", f"{model}, percentile"):
            if variant in models["still"]:
                cells = [f"{_flicker_of(models[condition][variant]):.3f}" for condition in conditions]
                rows.append([_label(variant), *cells])
    return _table(["", *conditions], rows)


def change(results: Results) -> str:
    """Return how much the gain changes along exact motion, the truth's own change included."""
    models = results["models"]
    rows = []
    for model in ("truth", "gainmap", "gainmap, smoothed", "expandnet"):
        cells = [
            f"{models[condition][model][metric]:.3f}"
            for condition in ("camera", "broadcast")
            for metric in ("excess_highlights", "excess")
        ]
        rows.append([_label(model), *cells])
    header = ["", "camera, in highlights", "camera", "broadcast, in highlights", "broadcast"]
    return _table(header, rows)


def planted(results: Results) -> str:
    """Return how much of planted flicker is found, and how much where there is none."""
    shares = [row[way] / row["planted"] for row in results["planted"] for way in ("exact", "followed")]
    zeros = results["nothing"]
    still = [row for row in zeros if "still" in row["reel"]]
    moving = [row for row in zeros if row not in still]

    def most(rows: Iterable[Mapping[str, Any]], metric: str) -> float:
        return max(row[f"{way} {metric}"] for row in rows for way in ("exact", "followed"))

    least = min(row[f"{way} excess"] for row in moving for way in ("exact", "followed"))
    lines = [
        f"- of what was planted, {min(shares):.0%} to {max(shares):.0%} is found;",
        f"- where nothing was planted, at most {most(still, 'excess'):.4f} stops are found in still pictures, and",
        f"  {least:.4f} to {most(moving, 'excess'):.4f} stops under a moving camera (in highlights up to",
        f"  {most(moving, 'excess_highlights'):.4f});",
    ]
    agreement = results["agreement"]
    lines += [
        f"- the order of the {len(agreement['clips'])} planted clips agrees with ColorVideoVDP's to a rank correlation",
        f"  of {agreement['excess']:.2f}, in PU21 units {agreement['excess_pu21']:.2f}.",
    ]
    return "\n".join(lines) + "\n"


def speed(results: Results) -> str:
    """Return frames per second at each size, through the Expander and through the ways into it."""
    sizes = list(dict.fromkeys(row["size"] for row in results["networks"]))
    rows = [
        [
            f"Expander: `{model}`, {precision}",
            *(_rate(results["networks"], size, model=model, precision=precision) for size in sizes),
        ]
        for model, precision in dict.fromkeys((row["model"], row["precision"]) for row in results["networks"])
    ]
    doors = results.get("doors", [])
    rows += [
        [name.replace("core.hdr.Expand", "`core.hdr.Expand`"), *(_rate(doors, size, door=name) for size in sizes)]
        for name in dict.fromkeys(row["door"] for row in doors)
    ]
    reference = results["reference"]
    rows.append(
        ["ExpandNet, eager PyTorch", *(f"{1 / reference[size]:.3g}" if size in reference else "-" for size in sizes)]
    )
    return _table(["frames per second", *sizes], rows)


def speed_notes(results: Results) -> str:
    """Return what else the run of `throughput.py` says of the default model."""
    rows = [row for row in results["networks"] if row["model"] == "gainmap" and row["precision"] == "fp32"]
    stages, start_up = results["stages"], results["start_up"]
    network = stages["network"] / sum(stages.values())
    lines = [
        *(
            f"- At {row['size']} `gainmap` is {row['times_reference']:.0f} times as fast as ExpandNet in the same run."
            for row in rows
            if "times_reference" in row
        ),
        *(f"- At {row['size']} its network takes {row['gmac']:.2g} billion multiply-adds per frame." for row in rows),
        f"- Of a 1080p frame's {sum(stages.values()) * 1e3:.0f} ms the network takes {network:.0%}.",
        *(
            f"- Of a conversion at {row['size']} with {row['door'].removeprefix('convert to ')} the Expander takes "
            f"{row['network_cpu_s'] / row['cpu_s']:.0%} of the processor's time."
            for row in results["doors"]
            if row["door"] == "convert to x265 medium"
        ),
        f"- Differences from eager PyTorch in fp32 are at most {_parity(results):.3f} codes of ten-bit PQ.",
        f"- Importing `vshdr` takes {start_up['import vshdr'] * 1e3:.0f} ms, importing torch "
        f"{start_up['import torch']:.1f} s, and the first frame {start_up['first frame']:.2f} s.",
    ]
    return "\n".join(lines) + "\n"


BLOCKS: dict[str, tuple[str, Callable[[Results], str]]] = {
    "quality": ("quality.json", quality),
    "highlights": ("quality.json", highlights),
    "jod": ("quality_jod.json", jod),
    "smoothing": ("quality.json", smoothing),
    "flicker": ("flicker.json", flicker),
    "change": ("flicker.json", change),
    "planted": ("flicker.json", planted),
    "speed": ("throughput.json", speed),
    "speed-notes": ("throughput.json", speed_notes),
}
"""Blocks by name: the results that they need, and what makes Markdown of these."""


def _draw_flicker(results: Results, path: Path) -> None:
    from flicker import plot

    plot(results["planted"], results["models"], path)


def _draw_throughput(results: Results, path: Path) -> None:
    from throughput_report import plot

    plot(results, path)


CHARTS: dict[str, tuple[str, Callable[[Results, Path], None]]] = {
    "flicker.png": ("flicker.json", _draw_flicker),
    "throughput.png": ("throughput.json", _draw_throughput),
}
"""Charts by file name in `benchmarks/`: the results that they show, and what draws them."""


def read(name: str) -> Results | None:
    """Return the committed results of that name; None where there are none yet."""
    path = RESULTS / name
    return json.loads(path.read_text()) if path.exists() else None


def block(name: str) -> str | None:
    """Return a block's Markdown, which ends with where its figures come from; None where there are no results yet."""
    file, make = BLOCKS[name]
    results = read(file)
    return None if results is None else f"\n{make(results)}\n{origin(results)}\n\n"


def origin(results: Results) -> str:
    """Return one line that says which run results come from."""
    run = results["origin"]
    machine = run["machine"]
    device = machine["gpu"] or f"{machine['processor']}, {machine['threads']} of {machine['cores']} cores"
    scenes = {record["scene"] for record in results.get("scenes", ())}
    count = f"{len(scenes)} scenes; " if scenes else ""
    return f"<sub>{count}`{run['command']}`; vshdr {run['version']}, {run['date']}, {device}</sub>"


def fill(text: str) -> str:
    """Return a page with all its blocks made anew. A block without results stays as it is.

    Raise KeyError for a block that no function makes.
    """

    def replace(found: re.Match[str]) -> str:
        made = block(found[2])
        return found[0] if made is None else found[1] + made + found[3]

    return _BLOCK.sub(replace, text)


def digest(file: str) -> str:
    """Return the SHA-256 of a file of results."""
    return hashlib.sha256((RESULTS / file).read_bytes()).hexdigest()


def draw(name: str) -> None:
    """Draw a chart anew, with the digest of its results in the PNG's text."""
    file, plot = CHARTS[name]
    results, path = read(file), BENCHMARKS / name
    if results is None:
        return
    plot(results, path)
    text = PngImagePlugin.PngInfo()
    text.add_text("results", digest(file))
    with Image.open(path) as chart:
        chart.load()
    chart.save(path, pnginfo=text)


def _mean(summary: Results, model: str, metric: str) -> float:
    """Return the mean over the conditions that have the metric."""
    values = [rows[model][metric] for rows in summary.values() if metric in rows[model]]
    return sum(values) / len(values)


def _flicker_of(row: Results) -> float:
    """Return flicker in highlights beyond the truth's own, or all of it where the truth is not known."""
    return row.get("beyond_truth_highlights", row["excess_highlights"])


def _label(variant: str) -> str:
    """Return `gainmap, smoothed` with the model's name as code."""
    name, comma, how = variant.partition(",")
    return f"{name if name == 'truth' else f'`{name}`'}{comma}{how}"


def _smoothed(results: Results) -> str:
    return f"`gainmap`, `smooth={results['settings']['smooth']}`"


def _rate(rows: Sequence[Results], size: str, **wanted: str) -> str:
    """Return the most frames per second of the rows of that size with these values."""
    rates = [row["fps"] for row in rows if row["size"] == size and all(row[key] == wanted[key] for key in wanted)]
    return f"{max(rates):.3g}" if rates else "-"


def _parity(results: Results) -> float:
    return max(row["max"] for row in results["parity"] if row["precision"] == "fp32")


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "".join("| " + " | ".join(cells) + " |\n" for cells in lines)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args(arguments)
    if missing := find_missing("matplotlib"):
        parser.error(missing)
    for page in sorted(PAGES.glob("*.md")):
        page.write_text(fill(page.read_text()))
    for name in CHARTS:
        draw(name)
    for file in sorted({file for file, _ in BLOCKS.values()}):
        if read(file) is None:
            print(f"{file} is not there: its figures stay as they are", file=sys.stderr)


if __name__ == "__main__":
    main()
