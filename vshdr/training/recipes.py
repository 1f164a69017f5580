"""How a run is trained: the recipe on the network's card, with what the user chose instead."""

from __future__ import annotations

import dataclasses
import math

from vshdr import models
from vshdr.errors import InputError
from vshdr.models.cards import Recipe
from vshdr.options.train import TrainOptions


def recipe_of(model: str, phase: str) -> Recipe:
    """Return the recipe of a network for "reconstruction" or "stability".

    Raise InputError for an unknown model, for an operator, and for a network whose card has none for the phase.
    """
    networks = [name for name in models.names() if models.card(name).network]
    if model not in models.names():
        raise InputError(f"unknown model '{model}'; choose from {', '.join(networks)}")
    card = models.card(model)
    if not card.network:
        raise InputError(f"{model} is an operator without weights; it cannot be trained")
    if phase not in card.recipes:
        known = ", ".join(card.recipes) or "none"
        raise InputError(f"{model} has no recipe for the phase {phase}; its card has: {known}")
    return card.recipes[phase]


def resolve(options: TrainOptions) -> TrainOptions:
    """Return `options` with the recipe's value for everything that was left open.

    Raise InputError where `recipe_of` does, and where crops are no multiples of what the network needs.
    """
    recipe = recipe_of(options.model, options.phase)
    size = options.size if options.size != (0, 0) else recipe.size
    multiple = models.card(options.model).multiple
    if any(side % multiple for side in size):
        raise InputError(f"size must be in multiples of {multiple} for {options.model}, not {list(size)}")
    stability = (options.stability or recipe.stability) if options.phase == "stability" else ""
    return dataclasses.replace(
        options,
        loss=options.loss or recipe.loss,
        alpha=recipe.alpha if options.alpha is None else options.alpha,
        stability=stability,
        steps=options.steps or recipe.epochs * recipe.epoch,
        batch=options.batch or recipe.batch,
        size=size,
        rate=recipe.rate if options.rate is None else options.rate,
        schedule=options.schedule or recipe.schedule,
        ema=recipe.ema if options.ema is None else options.ema,
        clip=recipe.clip if options.clip is None else options.clip,
    )


def rate_at(step: int, options: TrainOptions) -> float:
    """Return the learning rate of step `step`, from 0, under resolved `options`.

    It depends on nothing else, so that a resumed run needs no state of a scheduler.
    """
    rate = options.rate
    assert rate is not None, "options are not resolved"
    if options.schedule == "constant":
        return rate
    if options.schedule == "staircase":
        recipe = recipe_of(options.model, options.phase)
        return rate * recipe.decay ** (step // recipe.epoch)
    rise = max(1, min(500, options.steps // 20))
    if step < rise:
        return rate * (step + 1) / rise
    done = min(1.0, (step - rise) / max(1, options.steps - rise))
    return rate * (0.01 + 0.99 * 0.5 * (1.0 + math.cos(math.pi * done)))
