"""ColorVideoVDP in pieces: a stand-in scores them, as the package is no dependency."""

from __future__ import annotations

import math
import sys

import pytest
import torch
from torch import Tensor

from vshdr.errors import VshdrError
from vshdr.metrics import jod
from vshdr.metrics.flicker.frame_difference import WHITE
from vshdr.metrics.flicker.optional_meters import JodMeter


class StandIn:
    """Scores a piece by the mean of its light, in multiples of SDR white."""

    def __init__(self, frame_rate: float) -> None:
        self.pieces: list[int] = []

    def __call__(self, test: Tensor, truth: Tensor) -> float:
        assert test.shape == truth.shape and test.shape[-1] <= 480
        self.pieces.append(len(test))
        return float(test.mean()) / WHITE


@pytest.fixture
def meter(monkeypatch: pytest.MonkeyPatch) -> JodMeter:
    monkeypatch.setattr(jod, "available", lambda: True)
    monkeypatch.setattr(jod, "Jod", StandIn)
    return JodMeter(24.0)


def add(meter: JodMeter, levels: list[float], width: int = 16) -> None:
    for level in levels:
        light = torch.full((1, 3, 8, width), level)
        meter.add(light, light)
    meter.flush()


def test_long_clips_are_scored_in_pieces_that_count_by_their_frames(meter: JodMeter) -> None:
    add(meter, [1.0] * 48 + [4.0] * 16)
    assert meter._predictor.pieces == [48, 16]
    assert meter.mean == pytest.approx((48 * 1.0 + 16 * 4.0) / 64)


def test_wide_pictures_are_averaged_down(meter: JodMeter) -> None:
    add(meter, [2.0] * 3, width=1000)
    assert meter.mean == pytest.approx(2.0)


def test_one_frame_alone_is_no_video_and_has_no_score(meter: JodMeter) -> None:
    add(meter, [1.0])
    assert math.isnan(meter.mean)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pycvvdp", None)
    monkeypatch.setattr(jod, "available", lambda: False)
    with pytest.raises(VshdrError, match=r"pip install vshdr\[quality\]"):
        JodMeter(24.0)
