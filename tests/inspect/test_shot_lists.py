"""Lists of shots as files."""

import csv
from fractions import Fraction

import pytest

from vshdr.inspect.shots import TimedShot, clock_time, write_chapters, write_csv
from vshdr.temporal.shots import Shot

SHOTS = [
    TimedShot(shot=Shot(start=0, end=100, begins="start"), start=Fraction(0), end=Fraction(4)),
    TimedShot(shot=Shot(start=100, end=160, begins="fade", flashes=(110, 140)), start=Fraction(4), end=Fraction(32, 5)),
]


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (Fraction(0), "00:00:00.000"),
        (Fraction(1001, 24000), "00:00:00.042"),
        (Fraction(59_9996, 10_000), "00:01:00.000"),
        (Fraction(100 * 3600 + 61), "100:01:01.000"),
        (Fraction(-1, 25), "00:00:00.000"),
    ],
)
def test_clock_time(seconds, told):
    assert clock_time(seconds) == told


def test_csv_and_chapters(tmp_path):
    write_csv(tmp_path / "shots.csv", SHOTS)
    rows = list(csv.DictReader((tmp_path / "shots.csv").open()))
    assert [(row["first_frame"], row["last_frame"], row["flashes"]) for row in rows] == [
        ("0", "99", ""),
        ("100", "159", "110 140"),
    ]
    assert [(row["start_seconds"], row["end_seconds"]) for row in rows] == [
        ("0.000000", "4.000000"),
        ("4.000000", "6.400000"),
    ]
    write_chapters(tmp_path / "shots.txt", SHOTS)
    assert (tmp_path / "shots.txt").read_text().splitlines() == [
        "CHAPTER01=00:00:00.000",
        "CHAPTER01NAME=Shot 1",
        "CHAPTER02=00:00:04.000",
        "CHAPTER02NAME=Shot 2",
    ]


def test_a_list_that_fails_midway_replaces_nothing(tmp_path):
    target = tmp_path / "shots.csv"
    target.write_text("precious")

    def torn():
        yield SHOTS[0]
        raise ValueError("tape torn")

    for write in (write_csv, write_chapters):
        with pytest.raises(ValueError, match="tape torn"):
            write(target, torn())
    assert target.read_text() == "precious" and list(tmp_path.iterdir()) == [target]
