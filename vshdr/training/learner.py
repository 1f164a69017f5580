"""A network as training sees it: its own output, before what its class adds for viewing, for one or two views."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from vshdr.camera.pairs import Pair, halved
from vshdr.models.contract import Model
from vshdr.models.expandnet import ExpandNet
from vshdr.models.gainmap import GainMap
from vshdr.models.hdrcnn import HDRCNN
from vshdr.training.losses import LOSSES, Domain, relative_truth, to_domain
from vshdr.training.stability_terms import STABILITY, answered_for, needs_own_view, second_view

ENCODER_SHARE = 0.05
"""Of the learning rate, for gainmap's encoder: what it knows from ImageNet should not be lost to few scenes."""


class Learner(nn.Module):
    """Wraps a network, so that one call runs both views and a parallel wrapper sees all that needs gradients.

    The output is float32 in `domain`: ExpandNet's relative, HDRCNN's logarithm before the blend, otherwise
    linear light, and of gainmap at half the picture's sides, where it works. In training mode HDRCNN's normalisations
    learn their statistics.
    """

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model
        self.domain: Domain = "linear"
        if isinstance(model, ExpandNet):
            self.domain = "relative"
        elif isinstance(model, HDRCNN):
            self.domain = "log"

    def groups(self) -> list[dict[str, Any]]:
        """Return parameters for an optimiser, by the "share" of the rate at which they learn."""
        encoder = list(self.model.encoder.parameters()) if isinstance(self.model, GainMap) else []
        known = {id(parameter) for parameter in encoder}
        others = [item for item in self.parameters() if item.requires_grad and id(item) not in known]
        groups = [{"params": others, "share": 1.0}, {"params": encoder, "share": ENCODER_SHARE}]
        return [group for group in groups if group["params"]]

    def keep_context(self) -> None:
        """Have gainmap keep how it judges frames as a whole, which noise hardly changes. A stability term gets steadier
        pictures by darker ones, too, most of all where a grade has left white far below the light that was there.
        """
        if isinstance(self.model, GainMap):
            for part in (self.model.judge, self.model.tell_deepest, self.model.tell_last):
                part.requires_grad_(False)

    def train(self, mode: bool = True) -> Learner:
        if isinstance(self.model, HDRCNN):
            self.model.learn_statistics(mode)
        return super().train(mode)

    def forward(self, sdr: Tensor, second: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Return outputs for code values N x 3 x H x W, and for the second view if there is one."""
        return self._output(sdr), None if second is None else self._output(second)

    def _output(self, sdr: Tensor) -> Tensor:
        if isinstance(self.model, ExpandNet):
            return self.model.relative(sdr, self.model.summarise(sdr)).float()
        if isinstance(self.model, HDRCNN):
            return self.model.log_light(sdr).float()
        if isinstance(self.model, GainMap):
            return self.model.at_half_size(sdr).float()
        return self.model(sdr, self.model.summarise(sdr)).float()

    def light(self, sdr: Tensor, headroom: float) -> Tensor:
        """Return what a viewer would see: linear light with HDRCNN's blend, and ExpandNet's 1 as `headroom`."""
        if isinstance(self.model, ExpandNet):
            return to_domain(self._output(sdr), self.domain, "linear", headroom)
        return self.model(sdr, self.model.summarise(sdr)).float()


class Objective:
    """What is minimised: a loss, and in the stability phase (1 - alpha) of it plus alpha of a stability term."""

    def __init__(
        self,
        loss: str,
        stability: str = "",
        alpha: float | None = None,
        *,
        headroom: float,
        stretch: bool = False,
        motion: float = 1.0,
    ) -> None:
        """`loss` and `stability` are keys of `LOSSES` and `STABILITY` ("" for none); `alpha` None takes the
        term's own. `motion` is a factor of how far second views of `complete` move.
        """
        self.loss = LOSSES[loss]
        self.term = STABILITY[stability] if stability else None
        if self.term and alpha is not None:
            self.term = replace(self.term, alpha=alpha)
        self._headroom, self._stretch, self._motion = headroom, stretch, motion

    @property
    def takes_views(self) -> bool:
        """Whether second views from the camera are of use."""
        return self.term is not None and self.term.motion != "noise"

    def complete(self, pair: Pair, generator: torch.Generator) -> Pair:
        """Return the pair with the second view that the stability term needs, if it needs one."""
        if self.term is None or not needs_own_view(self.term, pair):
            return pair
        return second_view(pair, self.term.motion, generator, self._motion)

    def __call__(self, learner: nn.Module, domain: Domain, pair: Pair, autocast: torch.autocast) -> dict[str, Tensor]:
        """Return the scalar "loss" and, with a stability term, its parts "reconstruction" and "stability".

        `learner` may be wrapped for parallel training; `domain` is the one of its output.
        The network runs under `autocast`, the losses in float32: a logarithm of light has no digits to lose.
        """
        with autocast:
            first, second = learner(pair.sdr, pair.second_sdr if self.term else None)
        if first.shape != pair.sdr.shape:
            pair = halved(pair)
        output, truth, sdr = first, pair.linear, pair.sdr
        if self.term and self.term.both:
            output = torch.cat((first, second))
            truth, sdr = torch.cat((truth, pair.second_linear)), torch.cat((sdr, pair.second_sdr))
        if self.loss.domain == "relative":
            truth = relative_truth(truth, self._headroom, self._stretch)
        output = to_domain(output, domain, self.loss.domain, self._headroom)
        reconstruction = self.loss(output, truth, sdr)
        if self.term is None:
            return {"loss": reconstruction}
        views = [to_domain(view, domain, self.term.domain, self._headroom) for view in (first, second)]
        # A network with a log output has a say in lost highlights only, the others in every pixel.
        stability = self.term(*views, pair, answered_for(pair.linear, highlights_only=domain == "log"))
        total = (1.0 - self.term.alpha) * reconstruction + self.term.alpha * stability
        return {"loss": total, "reconstruction": reconstruction, "stability": stability}
