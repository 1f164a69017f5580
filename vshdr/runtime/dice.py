"""Random numbers for the virtual camera: drawn on the CPU, so a seed chooses the same conditions on every device."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor


class Dice:
    """A seeded source of single numbers. What needs a number per pixel uses a generator on the device instead."""

    def __init__(self, seed: int) -> None:
        self.generator: torch.Generator = torch.Generator().manual_seed(seed)

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        """Return a number from `low` to `high`, each as likely as any other."""
        return low + (high - low) * float(torch.rand((), generator=self.generator, dtype=torch.float64))

    def log_uniform(self, low: float, high: float) -> float:
        """Return a number from `low` to `high` whose logarithm is uniform: each octave between them is as likely."""
        return math.exp(self.uniform(math.log(low), math.log(high)))

    def normal(self, mean: float = 0.0, deviation: float = 1.0) -> float:
        """Return a number of the normal distribution with this mean and standard deviation."""
        return mean + deviation * float(torch.randn((), generator=self.generator, dtype=torch.float64))

    def chance(self, probability: float) -> bool:
        """Return True with this probability, from 0 to 1."""
        return self.uniform() < probability

    def below(self, count: int) -> int:
        """Return a whole number from 0 to count - 1."""
        return int(torch.randint(count, (), generator=self.generator))

    def pick(self, weights: Sequence[float] | Tensor) -> int:
        """Return an index of `weights`, each as likely as its weight."""
        weights = torch.as_tensor(weights, dtype=torch.float64)
        return int(torch.multinomial(weights, 1, generator=self.generator))
