"""benchmarks/throughput.py from start to end, small: that it measures what it says, never how long anything takes."""

import importlib
import json
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.skipif(not BENCHMARKS.exists(), reason="not run from a source tree"),
]


@pytest.fixture(scope="module")
def throughput():
    sys.path.insert(0, str(BENCHMARKS))
    yield importlib.import_module("throughput")
    sys.path.remove(str(BENCHMARKS))


@pytest.fixture(scope="module")
def results(throughput, tmp_path_factory):
    folder = tmp_path_factory.mktemp("throughput")
    small = pytest.MonkeyPatch()
    small.setattr(throughput, "SIZES", {"360p": (320, 180), "1080p": (320, 192)})
    quick = ["--device", "cpu", "--seconds", "0", "--sizes", "360p", "--encoders", "ffv1:", "nonsense:"]
    throughput.main([*quick, "--models", "gainmap", "none", "--no-plot", "--out", str(folder)])
    small.undo()
    return json.loads((folder / "throughput.json").read_text())


def test_networks_stand_beside_the_reference_and_the_limits(results):
    rows = {(row["model"], row["precision"]): row for row in results["networks"]}
    assert set(rows) == {("gainmap", "fp32"), ("gainmap", "bf16"), ("none", "fp32")}
    row = rows["gainmap", "fp32"]
    assert row["gmac"] == pytest.approx(rows["gainmap", "bf16"]["gmac"]) and 0.005 < row["gmac"] < 1.0
    assert row["times_reference"] == pytest.approx(results["reference"]["360p"] / row["expander_s"], rel=1e-4)
    assert row["bound_by"] == "arithmetic" and rows["none", "fp32"]["bound_by"] == "memory"
    assert row["roofline_share"] > 0.0
    if sys.platform == "linux":
        assert row["peak_bytes"] > 320 * 180 * 12  # a frame of floats at least


def test_fast_ways_are_the_slow_one_to_a_fraction_of_a_code(results):
    assert {row["precision"]: row["max"] < 1.0 for row in results["parity"]} == {"fp32": True, "bf16": True}


def test_stages_are_a_frame(results):
    assert set(results["stages"]) >= {"network", "curves", "light", "roll-off"}
    assert all(seconds >= 0.0 for seconds in results["stages"].values())


def test_doors_that_fail_do_not_take_the_others_with_them(results):
    names = [row["door"] for row in results["doors"]]
    assert names == [
        "device batches: 8-bit planes to 10-bit PQ planes",
        "core.hdr.Expand to PQ",
        "convert to nothing",
        "convert to ffv1",
    ]
    assert all(row["fps"] > 0.0 for row in results["doors"])
    assert {"decode", "network", "light", "encode"} <= set(results["doors"][-1]["stages"])
    assert "first frame" in results["start_up"]


def test_the_documentations_tables_can_be_made_of_them(results):
    tables = importlib.import_module("tables")
    speed = tables.speed(results).splitlines()
    assert speed[0] == "| frames per second | 360p |"
    row = next(row for row in results["networks"] if (row["model"], row["precision"]) == ("gainmap", "fp32"))
    assert f"| Expander: `gainmap`, fp32 | {row['fps']:.3g} |" in speed
    assert tables.origin(results).startswith("<sub>`python benchmarks/throughput.py --device cpu")
    assert "360p" in tables.speed_notes(results)
