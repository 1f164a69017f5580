"""Options through the command line: those that are allowed arrive as they are, others are refused by their name."""

from __future__ import annotations

import argparse
import dataclasses
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from vshdr.errors import InputError
from vshdr.options.convert import ConvertOptions
from vshdr.options.declare import add_arguments, from_arguments
from vshdr.options.expand import ExpandOptions
from vshdr.options.flicker import FlickerOptions
from vshdr.options.tools import CaptureOptions, CleanOptions
from vshdr.options.train import TrainOptions

CLASSES = [ExpandOptions, ConvertOptions, FlickerOptions, CaptureOptions, CleanOptions, TrainOptions]
TUPLES = {
    "angle": st.tuples(st.floats(1.0, 50.0), st.floats(50.0, 150.0)),
    "clipped": st.tuples(st.floats(0.0, 0.5), st.floats(0.5, 0.9)),
    "tile": st.tuples(st.integers(0, 4096), st.integers(0, 4096)),
    "size": st.tuples(st.integers(1, 4096), st.integers(1, 4096)),
}


def number(value: Any) -> type:
    """The type of an option's numbers; those that are None by default are floats."""
    return float if value is None else type(value)


def allowed(field: dataclasses.Field) -> st.SearchStrategy[Any]:
    """Values that the declaration of a field allows."""
    low, high, choices = (field.metadata[name] for name in ("low", "high", "choices"))
    if choices:
        return st.sampled_from(choices)
    if field.name == "devices":
        return st.lists(st.integers(0, 9), max_size=3).map(lambda numbers: ",".join(map(str, numbers)))
    if isinstance(field.default, tuple):
        return TUPLES[field.name]
    if isinstance(field.default, bool):
        return st.booleans()
    if isinstance(field.default, str):
        return st.text(st.characters(codec="utf-8", exclude_characters="\0"))
    numbers = st.floats(low, high, allow_nan=False) if number(field.default) is float else st.integers(low, high)
    return st.just(field.default) | numbers


@st.composite
def instances(draw: st.DrawFn, cls: type) -> Any:
    """Options of a class with some of their fields set."""
    fields = draw(st.sets(st.sampled_from(dataclasses.fields(cls)), max_size=6))
    values = {field.name: draw(allowed(field)) for field in sorted(fields, key=lambda field: field.name)}
    try:
        return cls(**values)
    except InputError:  # options that do not go together
        assume(False)


def command_line(options: Any) -> list[str]:
    """The flags that say what differs from the defaults."""
    words = []
    for field in dataclasses.fields(options):
        value, flag = getattr(options, field.name), "--" + field.name.replace("_", "-")
        if value == field.default:
            continue
        if isinstance(value, bool):
            words.append(flag)
        elif isinstance(value, tuple):
            words += [flag, *map(repr, value)]
        else:
            words.append(f"{flag}={value}")
    return words


def parser(cls: type) -> argparse.ArgumentParser:
    made = argparse.ArgumentParser()
    add_arguments(made, cls)
    return made


@pytest.mark.parametrize("cls", CLASSES)
@settings(suppress_health_check=[HealthCheck.filter_too_much])
@given(data=st.data())
def test_options_arrive_as_they_were_given(cls, data) -> None:
    options = data.draw(instances(cls))
    assert from_arguments(cls, parser(cls).parse_args(command_line(options))) == options


@pytest.mark.parametrize("cls", CLASSES)
def test_help_can_be_shown_and_names_every_flag(cls) -> None:
    text = parser(cls).format_help()
    assert all("--" + field.name.replace("_", "-") in text for field in dataclasses.fields(cls))


BOUNDED = [
    (cls, field)
    for cls in CLASSES
    for field in dataclasses.fields(cls)
    if field.metadata["low"] is not None or field.metadata["choices"]
]


@pytest.mark.parametrize(("cls", "field"), BOUNDED, ids=lambda part: getattr(part, "__name__", None) or part.name)
@given(data=st.data())
def test_what_is_out_of_range_is_refused_by_its_name(cls, field, data) -> None:
    low, high, choices = (field.metadata[name] for name in ("low", "high", "choices"))
    if choices:
        wrong = data.draw(st.text().filter(lambda word: word not in choices))
    else:
        beyond = [low - 1, low - 1000] + ([high + 1, high + 1000] if high is not None else [])
        kind = number(field.default)
        wrong = data.draw(st.sampled_from(beyond + [float("nan")] * (kind is float)).map(kind))
    with pytest.raises(InputError, match=rf"^{field.name} must be "):
        cls(**{field.name: wrong})
