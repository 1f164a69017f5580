"""What `throughput.py` found, as tables and as a chart."""

from __future__ import annotations

from pathlib import Path


def print_tables(results: dict) -> None:
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
    if "start_up" in results:
        laps = ", ".join(f"{name} {seconds:.2f}" for name, seconds in results["start_up"].items())
        print(f"\nStart-up, seconds: {laps}")


def plot(results: dict, path: Path) -> None:
    """Frames per second by model, size and precision; and where a frame's time goes. Needs matplotlib."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(12, 4.2), width_ratios=(1.3, 1), layout="constrained")
    bars: list[tuple[str, float]] = []
    for size, seconds in results["reference"].items():
        bars.append((f"ExpandNet as published, {size}", 1.0 / seconds))
    for row in results["networks"]:
        bars.append((f"{row['model']} {row['precision']}, {row['size']}, batch {row['batch']}", row["fps"]))
    for row in results.get("doors", ()):
        bars.append((f"{row['door']}, {row['size']}", row["fps"]))
    names, values = zip(*bars, strict=True)
    colours = ["0.6" if name.startswith("ExpandNet") else "C0" if ", batch " in name else "C2" for name in names]
    left.barh(names, values, color=colours)
    left.set(xscale="log", xlabel="frames per second", title=results["machine"]["device"])
    left.invert_yaxis()
    left.tick_params(axis="y", labelsize=7)
    for index, value in enumerate(values):
        left.text(value, index, f" {value:.3g}", va="center", fontsize=7)
    left.margins(x=0.15)
    stages = dict(sorted(results["stages"].items(), key=lambda item: -item[1]))
    right.barh(list(stages), [seconds * 1e3 for seconds in stages.values()], color="C0")
    right.set(xlabel="ms of a 1080p frame", title="gainmap: where the time goes")
    right.invert_yaxis()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _heading(title: str, columns: str) -> None:
    first, *rest = columns.replace("_", " ").split(" ") if "_" not in columns else columns.split(" ")
    print(f"\n{title}\n  {first:12}" + "".join(f"{column.replace('_', ' '):>16}" for column in rest))


def _line(row: dict, keys: tuple[str, ...], *values: str) -> None:
    first, *rest = (str(row[key]) for key in keys)
    print(f"  {first:12}" + "".join(f"{value.replace('_', ', '):>16}" for value in (*rest, *values)))
