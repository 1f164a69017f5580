"""Models by name.

Known are the classes with a card in the files of this folder, those that installed packages name in the entry-point
group `vshdr.models`, and those that a program passes to `register`.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
import warnings
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType

from vshdr.errors import InputError, sentence
from vshdr.models.cards import Card
from vshdr.models.contract import Model

DEFAULT = "gainmap"
"""The model that is taken where none is asked for."""
BASELINE = "none"
"""The operator that does nothing but linearise, with which all others are compared."""
ENTRY_POINTS = "vshdr.models"
"""Entry-point group in which other packages name their model classes."""


_known: dict[str, type[Model]] = {}


def register[M: Model](model_class: type[M]) -> type[M]:
    """Make a model from outside the package known under its card's name, and return its class; usable as a decorator.

    Registering the same class again replaces it, as a notebook does. Raise InputError for a class without a card, and
    for a name of a model or of weights that another model has.
    """
    _load_own()
    _add(model_class)
    return model_class


def names() -> list[str]:
    """Return the names of all models: operators first, led by the baseline, then networks, led by the default.

    The others are in alphabetical order.
    """

    def place(card: Card) -> tuple[bool, bool, str]:
        return card.network, card.name not in (BASELINE, DEFAULT), card.name

    cards = (model_class.card for model_class in _classes().values())
    return [card.name for card in sorted(cards, key=place)]


def card(name: str) -> Card:
    """Return the card of the model `name`. Raise InputError for an unknown name."""
    return model_class(name).card


def model_class(name: str) -> type[Model]:
    """Return the class of the model `name`. Raise InputError for an unknown name."""
    known = _classes()
    if name not in known:
        raise InputError(f"unknown model '{name}'; choose from {', '.join(names())}")
    return known[name]


def _classes() -> dict[str, type[Model]]:
    """Return the classes of all models by name."""
    _load_own()
    _load_installed()
    return _known


@functools.cache
def _load_own() -> None:
    """Add the models in the files of this folder, once."""
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        for model_class in _with_cards(importlib.import_module(f"{__package__}.{module.name}")):
            _add(model_class)


@functools.cache
def _load_installed() -> None:
    """Add the models of other packages, once. One that is broken is left out with a warning; the others stay of use."""
    for point in entry_points(group=ENTRY_POINTS):
        try:
            _add(point.load())
        except Exception as error:  # a package may raise anything at all while it is imported
            warnings.warn(f"the model '{point.name}' ({point.value}) is left out: {sentence(error)}", stacklevel=2)


def _with_cards(module: ModuleType) -> Iterator[type[Model]]:
    """Yield the model classes that `module` defines itself."""
    for item in vars(module).values():
        if isinstance(item, type) and issubclass(item, Model) and item.__module__ == module.__name__:
            if "card" in vars(item):
                yield item


def _add(model_class: object) -> None:
    """Add a class to the known ones. Raise what `register` promises."""
    if not (isinstance(model_class, type) and issubclass(model_class, Model)):
        raise InputError(f"{model_class!r} is not a model; derive its class from vshdr.models.Model")
    card = getattr(model_class, "card", None)
    if not isinstance(card, Card):
        raise InputError(f"{_full_name(model_class)} has no card; give the class `card = Card(name=..., ...)`")
    others = [other for other in _known.values() if _full_name(other) != _full_name(model_class)]
    for other in others:
        if other.card.name == card.name:
            raise InputError(f"the model name '{card.name}' is taken by {_full_name(other)}; choose another")
        taken = {entry.name for entry in card.weights} & {entry.name for entry in other.card.weights}
        if taken:
            raise InputError(
                f"the weights name '{min(taken)}' of {card.name} is taken by {other.card.name}; choose another"
            )
    _known[card.name] = model_class


def _full_name(model_class: type[Model]) -> str:
    return f"{model_class.__module__}.{model_class.__qualname__}"
