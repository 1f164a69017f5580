"""The results of `throughput.py` as tables and as a chart."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def print_tables(results: Mapping[str, Any]) -> None:
    machine, limits = results["machine"], results["machine"]["limits"]
    print(f"{machine['device']}, {machine['threads']} threads, torch {machine['torch']}")
    rates = ", ".join(f"{name} {rate:.0f}" for name, rate in limits["gmac_per_s"].items())
    bus = "".join(f", bus {way} {rate:.1f} GB/s" for way, rate in limits["bus_gb_per_s"].items())
    print(f"limits: {rates} GMAC/s, memory {limits['memory_gb_per_s']:.1f} GB/s{bus}")
    for size, seconds in results["reference"].items():
        print(f"ExpandNet eager fp32, one frame at a time, {size}: {seconds:.3f} s per frame")

    _heading("Networks", "model size precision batch GMAC network_ms Expander_ms fps xExpandNet roofline MB")
    for row in results["networks"]:
        ratio = f"{row['times_reference']:.0f}" if "times_reference" in row else "-"
        roofline = f"{row['roofline_share']:.0%}_{row['bound_by']}"
        times = f"{row['network_s'] * 1e3:.1f} {row['expander_s'] * 1e3:.1f} {row['fps']:.1f}"
        _line(
            row,
            ("model", "size", "precision", "batch"),
            f"{row['gmac']:.1f}",
            *times.split(),
            ratio,
            roofline,
            f"{row['peak_bytes'] / 1e6:.0f}",
        )
    _heading("Parity with eager fp32 on a CPU, codes of ten-bit PQ", "model device precision max 99.9_%")
    for row in results["parity"]:
        _line(row, ("model", "device", "precision"), f"{row['max']:.3f}", f"{row['p99.9']:.3f}")
    if results["stages"]:
        print("\nA frame of gainmap at 1080p")
        total = sum(results["stages"].values())
        for name, seconds in sorted(results["stages"].items(), key=lambda item: -item[1]):
            print(f"  {name:32}{seconds * 1e3:8.1f} ms{seconds / total:8.0%}")
    print("\nGrowth, seconds")
    for name, pairs in results["growth"].items():
        print(f"  by {name}: " + ", ".join(f"{int(count)}: {seconds:.4f}" for count, seconds in pairs))
    for row in results.get("doors", ()):
        bound = f"   {row['fps'] / row['bound_fps']:.0%} of {row['bound_by']}" if "bound_fps" in row else ""
        print(f"\n{row['door']}, {row['size']}: {row['fps']:.1f} frames per second{bound}")
        if row.get("stages"):
            total = sum(row["stages"].values())
            parts = (
                f"{name} {seconds * 1e3:.0f} ms ({seconds / total:.0%})" for name, seconds in row["stages"].items()
            )
            print("  " + ", ".join(parts))
            share = row["network_cpu_s"] / row["cpu_s"]
            print(f"  all cores: {row['cpu_s'] * 1e3:.0f} ms per frame, of which the Expander {share:.0%}")
    if "start_up" in results:
        laps = ", ".join(f"{name} {seconds:.2f}" for name, seconds in results["start_up"].items())
        print(f"\nStart-up, seconds: {laps}")


def plot(results: Mapping[str, Any], path: Path) -> None:
    """Frames per second at one size, where a frame's time goes, and how it grows. Needs matplotlib."""
    import matplotlib  # pyright: ignore[reportMissingImports]  # an extra that may not be installed

    matplotlib.use("agg")
    from matplotlib import pyplot  # pyright: ignore[reportMissingImports]

    sizes = [row["size"] for row in results["networks"]]
    size = "1080p" if "1080p" in sizes else sizes[0]
    figure, (left, middle, right) = pyplot.subplots(
        1, 3, figsize=(14, 3.6), width_ratios=(1.3, 1, 0.9), layout="constrained"
    )
    bars = _bars(results, size)
    names, values, colours = zip(*bars, strict=True)
    left.barh(names, values, color=colours)
    left.set(xscale="log", xlabel="frames per second", title=f"{size}, {results['machine']['device']}")
    left.invert_yaxis()
    left.tick_params(axis="y", labelsize=8)
    for index, value in enumerate(values):
        left.text(value, index, f" {value:.3g}", va="center", fontsize=8)
    left.margins(x=0.15)

    stages = dict(sorted(results["stages"].items(), key=lambda item: -item[1]))
    middle.barh(list(stages), [seconds * 1e3 for seconds in stages.values()], color="C0")
    middle.set(xlabel="ms of a 1080p frame", title="gainmap: where the time goes")
    middle.tick_params(axis="y", labelsize=8)
    middle.invert_yaxis()

    pixels, seconds = zip(*results["growth"]["pixels"], strict=True)
    right.plot([count / 1e6 for count in pixels], [value * 1e3 for value in seconds], "o-")
    right.set(xlabel="million pixels", ylabel="ms per frame", title="gainmap: how it grows")
    right.set(xlim=(0, None), ylim=(0, None))
    figure.savefig(path, dpi=100)
    pyplot.close(figure)


def _bars(results: Mapping[str, Any], size: str) -> list[tuple[str, float, str]]:
    """Name, frames per second and colour of everything that was measured at one size."""
    bars = []
    if size in results["reference"]:
        bars.append(("ExpandNet, eager fp32", 1.0 / results["reference"][size], "0.6"))
    for row in results["networks"]:
        if row["size"] == size:
            batch = f", batch {row['batch']}" if row["batch"] > 1 else ""
            bars.append((f"Expander: {row['model']} {row['precision']}{batch}", row["fps"], "C0"))
    doors = [row for row in results.get("doors", ()) if row["size"] == size]
    return bars + [(row["door"], row["fps"], "C2") for row in doors]


def _heading(title: str, columns: str) -> None:
    first, *rest = columns.replace("_", " ").split(" ") if "_" not in columns else columns.split(" ")
    print(f"\n{title}\n  {first:12}" + "".join(f"{column.replace('_', ' '):>16}" for column in rest))


def _line(row: dict[str, Any], keys: tuple[str, ...], *values: str) -> None:
    first, *rest = (str(row[key]) for key in keys)
    print(f"  {first:12}" + "".join(f"{value.replace('_', ', '):>16}" for value in (*rest, *values)))
