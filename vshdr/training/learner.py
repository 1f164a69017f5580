"""A network as training sees it, and the objective that it minimises."""

from __future__ import annotations

from dataclasses import replace
from typing import Self

import torch
from torch import Tensor, nn

from vshdr.camera.pairs import Pair, halved
from vshdr.models.contract import Domain, Model
from vshdr.training.losses import LOSSES, Loss, relative_truth, to_domain
from vshdr.training.stability_terms import STABILITY, Stability, judged_mask, needs_own_view, second_of, second_view


class Learner(nn.Module):
    """A network whose call runs one or two views, so that a parallel wrapper sees everything that needs gradients.

    In training mode the network's normalisations, if it has some, use and gather the statistics of the batch.
    """

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    def train(self, mode: bool = True) -> Self:
        self.model.learn_statistics(mode)
        return super().train(mode)

    def forward(self, sdr: Tensor, second: Tensor | None = None) -> tuple[Tensor, Tensor | None, Domain]:
        """Return the network's float32 output for code values N x 3 x H x W, the output for the second view if there is
        one, and the domain that both are in.
        """
        first, domain = self.model.training_output(sdr)
        other = None if second is None else self.model.training_output(second)[0].float()
        return first.float(), other, domain

    def light(self, sdr: Tensor, headroom: float) -> Tensor:
        """Return linear light as a viewer would see it, N x 3 x H x W, float32.

        A network with a relative output cannot know yet what that is worth; its 1 is shown as `headroom`.
        """
        output, domain = self.model.training_output(sdr)
        if domain == "relative":
            return to_domain(output.float(), domain, "linear", headroom)
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
        highlights_only: bool = False,
    ) -> None:
        """Take `loss` and `stability`, keys of `LOSSES` and `STABILITY` ("" for no term), and the term's share `alpha`,
        None for the published one.

        `headroom` is what a relative output of 1 is worth, in multiples of SDR white; with `stretch` each truth is
        stretched to its own extremes instead. `motion` is a factor of how far second views of `complete` move. With
        `highlights_only` the term judges lost highlights alone, as the network leaves the rest unchanged.
        """
        self.loss: Loss = LOSSES[loss]
        self.term: Stability | None = STABILITY[stability] if stability else None
        if self.term and alpha is not None:
            self.term = replace(self.term, alpha=alpha)
        self._headroom, self._stretch, self._motion = headroom, stretch, motion
        self._highlights_only = highlights_only

    @property
    def takes_views(self) -> bool:
        """Whether second views from the camera are of use."""
        return self.term is not None and self.term.motion != "noise"

    def complete(self, pair: Pair, generator: torch.Generator) -> Pair:
        """Return the pair with the second view that the stability term needs, if it needs one of its own."""
        if self.term is None or not needs_own_view(self.term, pair):
            return pair
        return second_view(pair, self.term.motion, generator, self._motion)

    def __call__(self, learner: nn.Module, pair: Pair, autocast: torch.autocast) -> dict[str, Tensor]:
        """Return the scalar "loss" and, with a stability term, its parts "reconstruction" and "stability".

        `learner` is a `Learner`, or one that is wrapped for parallel training. The network runs under `autocast`, the
        losses in float32, because the logarithm of light needs all its digits.
        """
        term = self.term
        with autocast:
            first, second, domain = learner(pair.sdr, pair.second_sdr if term else None)
        if first.shape != pair.sdr.shape:
            pair = halved(pair)
        if term is None:
            return {"loss": self._reconstruction(first, domain, pair.linear, pair.sdr)}
        output, truth, sdr = first, pair.linear, pair.sdr
        if term.both:
            view = second_of(pair)
            output = torch.cat((first, second))
            truth, sdr = torch.cat((truth, view.linear)), torch.cat((sdr, view.sdr))
        reconstruction = self._reconstruction(output, domain, truth, sdr)
        first, second = (to_domain(view, domain, term.domain, self._headroom) for view in (first, second))
        stability = term(first, second, pair, judged_mask(pair.linear, highlights_only=self._highlights_only))
        total = (1.0 - term.alpha) * reconstruction + term.alpha * stability
        return {"loss": total, "reconstruction": reconstruction, "stability": stability}

    def _reconstruction(self, output: Tensor, domain: Domain, truth: Tensor, sdr: Tensor) -> Tensor:
        """Return the loss of an output that is in `domain`; `truth` is linear light."""
        if self.loss.domain == "relative":
            truth = relative_truth(truth, self._headroom, self._stretch)
        return self.loss(to_domain(output, domain, self.loss.domain, self._headroom), truth, sdr)
