"""How options are declared: dataclass fields with a default, a help text and what is allowed.

The plugin, the command line and Python share names, defaults, ranges and meaning. Nothing heavy is imported in this
room, so that `vshdr --help` answers at once.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

from vshdr.errors import InputError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

EXPERIMENTAL = "experimental: not tested on a GPU yet"
"""Marks, in help texts and notes, what needs CUDA: its code is tested on a CPU and with stand-ins only."""


def option(
    default: Any,
    help: str,
    *,
    choices: tuple[str, ...] = (),
    low: float | None = None,
    high: float | None = None,
    names: tuple[str, ...] = ("WIDTH", "HEIGHT"),
) -> Any:
    """Return a dataclass field with its help text and what is allowed.

    `choices` are the words that are allowed, `low` to `high` the numbers, both included. `names` are what the help
    calls the parts of a tuple.
    """
    allowed = {"choices": choices, "low": low, "high": high}
    return dataclasses.field(default=default, metadata={"help": help, "names": names, **allowed})


def _is_number(value: object, default: object) -> bool:
    """Return whether `value` is a number as an option with this default takes it: whole where the default is."""
    return isinstance(value, Integral if isinstance(default, int) else Real)


def check(options: DataclassInstance) -> None:
    """Raise InputError with one sentence for the first field of a dataclass of `option`s that is out of its range."""
    for field in dataclasses.fields(options):
        value, allowed = getattr(options, field.name), field.metadata
        if value is None:  # not given: what uses the option decides, such as the codec
            continue
        if allowed.get("choices") and value not in allowed["choices"]:
            words = ", ".join(filter(None, allowed["choices"]))
            raise InputError(f"{field.name} must be one of {words}, not '{value}'")
        low, high = allowed.get("low"), allowed.get("high")
        if (low, high) != (None, None) and not _is_number(value, field.default):
            raise InputError(f"{field.name} must be a {'whole ' * isinstance(field.default, int)}number, not {value!r}")
        if isinstance(field.default, tuple) and not isinstance(value, Sequence):
            raise InputError(f"{field.name} must be {len(field.default)} numbers, not {value!r}")
        if (low is not None and not value >= low) or (high is not None and not value <= high):
            bounds = f"from {low:g} to {high:g}" if None not in (low, high) else f"at least {low:g}"
            raise InputError(f"{field.name} must be {bounds}, not {value:g}")


def add_arguments(
    parser: argparse._ActionsContainer,  # pyright: ignore[reportPrivateUsage]  parsers and groups have no other name
    cls: type[DataclassInstance],
) -> None:
    """Add a flag for every field of a dataclass of `option`s to a parser, or to a group of one.

    `device_index` becomes `--device-index`; booleans are switches.
    """
    for field in dataclasses.fields(cls):
        flag = "--" + field.name.replace("_", "-")
        settings: dict[str, Any] = {"help": field.metadata["help"], "default": field.default, "dest": field.name}
        if isinstance(field.default, bool):
            settings["action"] = "store_true"
        elif isinstance(field.default, tuple):
            settings.update(nargs=len(field.default), type=type(field.default[0]), metavar=field.metadata["names"])
        else:
            settings["type"] = float if field.default is None else type(field.default)
            settings["metavar"] = "|".join(field.metadata["choices"]) or field.name.upper()
        parser.add_argument(flag, **settings)


def from_arguments[Options: DataclassInstance](cls: type[Options], arguments: argparse.Namespace) -> Options:
    """Return an instance of `cls` with the values of the flags that `add_arguments` added.

    Raise InputError where one is out of its range.
    """
    values = {field.name: getattr(arguments, field.name) for field in dataclasses.fields(cls)}
    return cls(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})
