"""The models: networks and analytic operators that turn SDR into linear light.

A new one is one file in this folder: a class derived from `Model`, with a `Card`. Nothing else needs to know. A model
from another package is made known by `register`, or by an entry point in the group `vshdr.models`.
"""

from vshdr.models.cards import Card, Recipe
from vshdr.models.contract import Display, Domain, Model, ParameterGroup
from vshdr.models.registry import DEFAULT, card, names, register
from vshdr.models.store import average_weights, build, catalogue, convert_weights, untrained

__all__ = [
    "DEFAULT",
    "Card",
    "Display",
    "Domain",
    "Model",
    "ParameterGroup",
    "Recipe",
    "build",
    "card",
    "catalogue",
    "convert_weights",
    "average_weights",
    "names",
    "register",
    "untrained",
]
