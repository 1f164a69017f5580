"""A network that vshdr has never heard of, as another package would bring it: it lifts light near clipping."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from vshdr.models import Card, Display, Domain, Model, ParameterGroup, Recipe

_RECIPE = Recipe(
    loss="log",
    stability="transform",
    rate=0.05,
    schedule="constant",
    batch=2,
    size=(32, 32),
    epochs=1,
    epoch=8,
)


class Glow(Model):
    """Sixty numbers or so. Its training output is the logarithm of light; a front part learns slowly."""

    card = Card(
        name="glow",
        summary="Lifts light near clipping; made for a test.",
        source="a test",
        multiple=4,
        context=1,
        recipes={"reconstruction": _RECIPE, "stability": _RECIPE},
    )

    def __init__(self, display: Display) -> None:
        super().__init__(display)
        self.front = nn.Conv2d(3, 4, 3, padding=1, padding_mode="replicate")
        self.lift = nn.Conv2d(4, 3, 1)

    def forward(self, sdr: Tensor, summary: Tensor | None = None) -> Tensor:
        return self.training_output(sdr)[0].exp() - 1.0 / 255.0

    def training_output(self, sdr: Tensor) -> tuple[Tensor, Domain]:
        gain = self.lift(torch.relu(self.front(sdr))).sigmoid() * sdr.amax(dim=1, keepdim=True)
        return (sdr.pow(2.4) + 1.0 / 255.0).log() + 2.0 * gain, "log"

    def initialise(self, generator: torch.Generator) -> None:
        nn.init.normal_(self.lift.weight, 0.0, 0.1, generator=generator)

    def parameter_groups(self) -> list[ParameterGroup]:
        front, lift = list(self.front.parameters()), list(self.lift.parameters())
        learning = [item for item in front if item.requires_grad]
        return [
            ParameterGroup(parameters=lift),
            *([ParameterGroup(parameters=learning, rate_factor=0.1)] if learning else []),
        ]

    def freeze_for(self, phase: str) -> None:
        self.front.requires_grad_(phase != "stability")

    def from_published(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        if "kernel" not in state:
            return dict(state)
        return {
            "front.weight": state["kernel"],
            "front.bias": state["offset"],
            "lift.weight": state["mix"],
            "lift.bias": torch.zeros(3),
        }
