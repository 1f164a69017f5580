"""The documentation's figures and charts are those of the committed results."""

import importlib
import json
import re
import sys
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").glob("*.md"))
MARK = re.compile(r"<!-- figures: ([\w-]+) -->")


@pytest.fixture(scope="module")
def tables():
    sys.path.insert(0, str(ROOT / "benchmarks"))
    yield importlib.import_module("tables")
    sys.path.remove(str(ROOT / "benchmarks"))


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_pages_show_the_committed_results(tables, page):
    text = page.read_text()
    assert tables.fill(text) == text, f"{page.name} does not match benchmarks/results: run benchmarks/tables.py"


def test_each_block_stands_in_one_page(tables):
    names = [name for page in PAGES for name in MARK.findall(page.read_text())]
    assert sorted(names) == sorted(tables.BLOCKS)


def test_charts_were_drawn_from_the_committed_results(tables):
    for name, (file, _) in tables.CHARTS.items():
        if tables.read(file) is not None:
            with Image.open(ROOT / "benchmarks" / name) as chart:
                assert chart.text.get("results") == tables.digest(file), f"{name}: run benchmarks/tables.py"


def test_results_say_where_they_come_from(tables):
    found = sorted(tables.RESULTS.glob("*.json"))
    assert {"quality.json", "quality_jod.json", "flicker.json"} <= {path.name for path in found}
    for path in found:
        origin = json.loads(path.read_text())["origin"]
        assert origin["command"].startswith("python benchmarks/") and "/tmp" not in origin["command"]
        assert {"version", "date", "machine", "seed"} <= set(origin)
        assert {"processor", "cores", "threads", "torch"} <= set(origin["machine"])


def constant(value, number):
    """The same with every number replaced."""
    if isinstance(value, dict):
        return {key: constant(item, number) for key, item in value.items()}
    if isinstance(value, list):
        return [constant(item, number) for item in value]
    return number if isinstance(value, (int, float)) and not isinstance(value, bool) else value


def test_every_number_of_a_block_comes_from_the_results(tables):
    """With sevens for all results, only sevens and their ratios are left, beside names such as PU21 and 1080p."""
    for name, (file, make) in tables.BLOCKS.items():
        results = tables.read(file)
        if results is None:
            continue
        text = make(constant(results, 7.0))
        for row in results.get("doors", ()):
            text = text.replace(row["door"], "")  # names such as "8-bit planes to 10-bit PQ planes"
        text = re.sub(r"`[^`]*`", "", text)
        numbers = re.findall(r"(?<![\w.])\d+(?:\.\d+)?(?![\w.]*\w)", text)
        counts = {float(len(results.get("agreement", {}).get("clips", ())))}
        speeds: set[float] = set()
        if "stages" in results:
            stages = len(results["stages"])
            rate, milliseconds = round(1 / 7, 3), 7000.0  # of 7 seconds per frame, of 7 seconds
            speeds = {rate, milliseconds, milliseconds * stages, round(100 / stages)}
        assert numbers and {float(number) for number in numbers} <= {7.0, 100.0} | counts | speeds, (name, set(numbers))


def test_other_results_give_another_page_and_other_text_stays(tables, tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    page = "Before.\n<!-- figures: smoothing -->\nold\n<!-- end -->\nAfter: 5.\n"
    assert tables.fill(page) == page  # no results yet
    results = json.loads((ROOT / "benchmarks" / "results" / "quality.json").read_text())
    (tmp_path / "quality.json").write_text(json.dumps(results))
    first = tables.fill(page)
    (tmp_path / "quality.json").write_text(json.dumps(constant(results, 3.0)))
    second = tables.fill(page)
    assert first != second and "old" not in first and "3.000" in second and "3.000" not in first
    assert tables.fill(second) == second
    for text in (first, second):
        assert text.startswith("Before.\n<!-- figures: smoothing -->\n") and text.endswith("<!-- end -->\nAfter: 5.\n")


def test_an_unknown_block_is_refused(tables):
    with pytest.raises(KeyError):
        tables.fill("<!-- figures: nonesuch -->\n<!-- end -->")
