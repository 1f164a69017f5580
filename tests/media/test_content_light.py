"""Light levels against their definition, computed the plain way."""

import numpy as np
import pytest
import torch

from vshdr.colour.h273 import Primaries
from vshdr.colour.primaries import convert_primaries
from vshdr.media.content_light import ContentLightMeter


def frames(count: int = 4) -> torch.Tensor:
    return torch.rand((count, 3, 90, 160), generator=torch.Generator().manual_seed(3)) ** 6 * 5.0


@pytest.mark.parametrize("primaries", [Primaries.BT709, Primaries.BT2020])
def test_levels_follow_their_definition(primaries: Primaries) -> None:
    meter = ContentLightMeter(white=203.0, primaries=primaries)
    clip = frames()
    nits = (convert_primaries(clip.double(), primaries, Primaries.BT2020).amax(1) * 203.0).numpy()
    for frame, expected in zip(clip, nits, strict=True):
        measured = meter.add(frame)
        assert measured.brightest == pytest.approx(expected.max(), rel=1e-5)
        assert measured.average == pytest.approx(expected.mean(), rel=1e-5)
    summary = meter.summary()
    assert summary["max_cll"] == pytest.approx(nits.max(), rel=1e-5)
    assert summary["max_fall"] == pytest.approx(nits.mean((1, 2)).max(), rel=1e-5)
    assert summary["percentile_99_9"] == pytest.approx(np.percentile(nits, 99.9), rel=2e-3)
    assert summary["percentile_99_99"] == pytest.approx(np.percentile(nits, 99.99), rel=2e-3)
    assert summary["frames"] == 4
    assert (meter.max_cll, meter.max_fall) == (round(nits.max()), round(nits.mean((1, 2)).max()))


def test_white_at_203_nits() -> None:
    meter = ContentLightMeter(white=203.0)
    meter.add(torch.ones(3, 8, 8))
    assert (meter.max_cll, meter.max_fall) == (203, 203)
    assert meter.percentile(99.9) == pytest.approx(203.0, rel=1e-4)


def test_one_outlier_moves_max_cll_but_not_the_percentiles() -> None:
    meter = ContentLightMeter(white=100.0, primaries=Primaries.BT2020)
    frame = torch.ones(3, 200, 200)
    frame[0, 5, 7] = 50.0
    meter.add(frame)
    assert meter.max_cll == 5000
    assert meter.percentile(99.99) == pytest.approx(100.0, rel=2e-3)


@pytest.mark.parametrize(("value", "level"), [(-1.0, 1), (0.0, 1), (1e9, 10000)])
def test_levels_stay_within_what_pq_and_the_metadata_carry(value: float, level: int) -> None:
    meter = ContentLightMeter(white=203.0)
    meter.add(torch.full((3, 4, 4), value))
    assert (meter.max_cll, meter.max_fall) == (level, level)
    assert meter.percentile(50) <= 10000.0


def test_an_unused_meter() -> None:
    assert set(ContentLightMeter().summary().values()) == {0}
