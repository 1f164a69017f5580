"""The flicker benchmark as a user runs it, tiny."""

import contextlib
import importlib
import io
import json
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def result(one_thread, tmp_path_factory):
    """What a run printed, and its JSON."""
    out = tmp_path_factory.mktemp("flicker")
    sys.path.insert(0, str(BENCHMARKS))
    arguments = ["--size", 96, 64, "--frames", 12, "--own", 1, "--amplitudes", 0.05, 1, "--models", "none", "expandmap"]
    try:
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            importlib.import_module("flicker").main([*map(str, arguments), "--no-plot", "--out", str(out)])
    finally:
        sys.path.remove(str(BENCHMARKS))
    return printed.getvalue(), json.loads((out / "flicker.json").read_text())


def test_planted_flicker_is_found_within_15_percent(result):
    rows = result[1]["planted"]
    assert {row["kind"] for row in rows} == {"whole", "region", "boil"} and len(rows) == 18
    for row in rows:
        for way in ("exact", "followed"):
            assert row[way] == pytest.approx(row["planted"], rel=0.15), row
        if row["kind"] == "whole" and row["hertz"] == 6.0:  # in half a second only what swings a few times is told well
            assert row["exact amplitude"] == pytest.approx(row["amplitude"], rel=0.15)


def test_where_nothing_is_planted_next_to_nothing_is_found(result):
    *still, coarse, fine = result[1]["nothing"]
    assert max(row[f"{way} excess"] for row in still for way in ("exact", "followed")) < 1e-6
    assert coarse["exact excess"] < 0.006 and coarse["followed excess"] < 0.006
    assert fine["exact excess"] < 0.0015 and fine["followed excess"] < 0.002


def test_models_are_scored_as_they_are_and_smoothed(result):
    printed, report = result
    assert list(report["models"]) == ["still", "camera", "broadcast", "bundled clip"]
    for condition, rows in report["models"].items():
        assert {"none", "expandmap", "expandmap, smoothed"} <= set(rows)
        assert rows["none"]["excess"] < rows["expandmap"]["excess"]
        if condition != "bundled clip":
            assert rows["truth"]["beyond_truth"] == 0.0
    still = report["models"]["still"]
    assert still["expandmap, smoothed"]["excess"] < 0.7 * still["expandmap"]["excess"]
    assert "Planted flicker" in printed and "expandmap, smoothed" in printed
