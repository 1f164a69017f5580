"""The documentation speaks of what is there: links, files, options, rooms."""

import importlib
import re
from dataclasses import fields
from pathlib import Path

import pytest

from vshdr import errors
from vshdr.models import names
from vshdr.options.convert import ConvertOptions
from vshdr.options.expand import ExpandOptions

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
FOLDERS = ("vshdr", "tests", "benchmarks", "scripts", "docs")


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_links_lead_somewhere(page):
    prose = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        if target.startswith("http"):
            continue
        file, _, anchor = target.partition("#")
        path = (page.parent / file).resolve() if file else page
        assert path.exists(), target
        assert not anchor or anchor in anchors(path), target


@pytest.mark.parametrize("page", [page for page in PAGES if page.stem != "CHANGELOG"], ids=lambda path: path.stem)
def test_files_that_are_named_are_there(page):
    named = re.findall(rf"`((?:{'|'.join(FOLDERS)})/[\w./-]+)`", page.read_text())
    for name in named:
        if not re.search(r"NAME|throughput\.json", name):
            assert (ROOT / name).exists(), name
    within = re.findall(r"`(\w+/[\w/]+\.(?:py|[ch]))`", page.read_text())
    for name in within:
        assert (ROOT / name).exists() or (ROOT / "vshdr" / name).exists() or "NAME" in name, name


def test_every_argument_of_expand_is_explained():
    text = (ROOT / "docs" / "vapoursynth.md").read_text()
    explained = {name for row in re.findall(r"^\| ([\w, ]+) \|", text, re.MULTILINE) for name in row.split(", ")}
    assert {field.name for field in fields(ExpandOptions)} <= explained


def test_every_option_of_convert_is_explained():
    text = (ROOT / "docs" / "convert.md").read_text()
    for field in fields(ConvertOptions):
        name = "--" + field.name.replace("_", "-")
        assert re.search(rf"^\| .*`{name}\b", text, re.MULTILINE) or field.name == "dither", name


def test_every_model_is_described():
    text = (ROOT / "docs" / "models.md").read_text()
    assert all(f"| `{name}`" in text for name in names())


def test_every_room_stands_in_the_plan():
    text = (ROOT / "docs" / "architecture.md").read_text()
    rooms = re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)
    there = {path.parent.name for path in (ROOT / "vshdr").glob("*/__init__.py")}
    assert there <= set(rooms) and set(rooms) - there <= {"cluster"}


def test_every_error_is_explained():
    text = (ROOT / "docs" / "python.md").read_text()
    for name, item in vars(errors).items():
        if isinstance(item, type) and issubclass(item, errors.VshdrError):
            assert f"`{name}`" in text or f"errors.{name}`" in text, name


def test_the_plan_keeps_the_order_of_the_rooms(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "scripts")
    order = importlib.import_module("rooms").ROOMS
    text = (ROOT / "docs" / "architecture.md").read_text()
    shown = [room for room in re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE) if room in order]
    assert shown == [room for room in order if room in shown]
