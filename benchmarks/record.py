"""Results as JSON files that say where they come from: command, version, date, machine and seed."""

from __future__ import annotations

import datetime
import json
import math
import os
import platform
import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from vshdr import __version__

BY_NAME = "the CRC-32 of each scene's and condition's name"
"""The seeds of the scenes that quality.py and flicker.py score. No option changes them, so a run can be repeated."""


def provenance(program: str, arguments: Sequence[str], seed: str = BY_NAME) -> dict[str, Any]:
    """Return what a result has to say of itself. Of absolute paths in `arguments` only the last part is kept."""
    return {
        "command": shlex.join(["python", f"benchmarks/{program}.py", *map(_without_folders, arguments)]),
        "version": __version__,
        "date": datetime.date.today().isoformat(),
        "machine": {
            "processor": processor(),
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
            "system": platform.system(),
            "python": platform.python_version(),
            "torch": str(torch.__version__),
        },
        "seed": seed,
    }


def processor() -> str:
    """Return the processor's name."""
    for line in Path("/proc/cpuinfo").read_text().splitlines() if sys.platform == "linux" else ():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def means(records: Sequence[Mapping[str, Any]], metrics: Iterable[str]) -> dict[str, dict[str, dict[str, float]]]:
    """Return condition, model, metric: the mean over all records of that condition and model that have a number."""
    groups: dict[str, dict[str, list[Mapping[str, Any]]]] = {}
    for one in records:
        groups.setdefault(one["condition"], {}).setdefault(one["model"], []).append(one)
    return {
        condition: {model: dict(_mean(own, metrics)) for model, own in models.items()}
        for condition, models in groups.items()
    }


def _mean(records: Sequence[Mapping[str, Any]], metrics: Iterable[str]) -> Iterator[tuple[str, float]]:
    for metric in metrics:
        values = [one[metric] for one in records if not math.isnan(one.get(metric, math.nan))]
        if values:
            yield metric, sum(values) / len(values)


def write(path: Path, report: dict[str, Any]) -> None:
    """Write a report, and its folder where there is none. NaN and infinity, which JSON does not know, become null."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_layout(_finite(report)) + "\n")


def _without_folders(argument: str) -> str:
    name, equals, path = argument.rpartition("=")
    return f"{name}{equals}{Path(path).name}" if Path(path).is_absolute() else argument


def _finite(value: Any) -> Any:
    """Return the same with six digits of each number, and None for NaN and infinity."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value


def _layout(value: Any, indent: str = "") -> str:
    """Return JSON in which a record of plain values stands in one line, so that a change to it is one line, too."""
    inner = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    if not any(isinstance(item, (dict, list)) for item in inner):
        return json.dumps(value, allow_nan=False)
    deeper = indent + " "
    if isinstance(value, dict):
        lines = [f"{deeper}{json.dumps(key)}: {_layout(item, deeper)}" for key, item in value.items()]
        return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
    return "[\n" + ",\n".join(deeper + _layout(item, deeper) for item in value) + f"\n{indent}]"
