"""The Expander with models that need no weights, and with a small network made here for what only networks show."""

import pytest
import torch
from torch import nn

from vshdr import Expander, models
from vshdr.colour.transfer import EOTF
from vshdr.errors import NotFiniteError, OutOfMemoryError
from vshdr.models import registry
from vshdr.models.cards import Card
from vshdr.models.contract import Model

OPERATORS = [name for name in models.names() if not models.card(name).network]


@pytest.fixture
def sdr() -> torch.Tensor:
    """Three frames of noise on a gradient, with clipped areas; the sides are no multiples of anything."""
    generator = torch.Generator().manual_seed(7)
    ramp = torch.linspace(0, 1.2, 75).expand(3, 3, 51, 75)
    return (ramp + 0.05 * torch.randn(3, 3, 51, 75, generator=generator)).clamp(0, 1)


class Blur(Model):
    """A network in miniature: two convolutions with zero padding, fixed random weights, a multiple of 8."""

    card = Card(name="blur", summary="", source="", multiple=8, context=2)
    fault = False

    def __init__(self, display):
        super().__init__(display)
        generator = torch.Generator().manual_seed(3)
        self.layers = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 3, 3, padding=1))
        for parameter in self.parameters():
            parameter.data = torch.randn(parameter.shape, generator=generator) * 0.3

    def forward(self, sdr, summary=None):
        return self.layers(sdr).abs() * (torch.nan if self.fault else 1.0)


@pytest.fixture
def blur(monkeypatch):
    monkeypatch.setitem(registry._known, "blur", Blur)


@pytest.mark.parametrize("model", OPERATORS)
def test_output_is_bounded_and_as_large_as_the_input(model, sdr):
    linear = Expander(model, peak=800).expand(sdr)
    assert linear.shape == sdr.shape and linear.dtype == torch.float32
    assert linear.min() >= 0 and linear.max() <= 800 / 203 * (1 + 1e-6)
    assert linear.max() > 0.9


@pytest.mark.parametrize("model", OPERATORS)
def test_a_frame_does_not_depend_on_its_batch(model, sdr):
    expander = Expander(model)
    together = expander.expand(sdr)
    for index in range(len(sdr)):
        assert torch.equal(expander.expand(sdr[index : index + 1])[0], together[index])


@pytest.mark.parametrize("model", [*OPERATORS, "blur"])
@pytest.mark.parametrize("tile", [(32, 32), (33, 20), (200, 16)])
def test_tiles_equal_the_whole_frame_up_to_its_border(model, tile, blur):
    frame = torch.rand(1, 3, 131, 230, generator=torch.Generator().manual_seed(1))
    whole = Expander(model).expand(frame)
    torch.testing.assert_close(Expander(model, tile=tile).expand(frame), whole, atol=1e-5, rtol=0)


def test_an_overlap_that_is_too_small_shows(blur):
    frame = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    whole = Expander("blur").expand(frame)
    assert not torch.allclose(Expander("blur", tile=(32, 32), overlap=0).expand(frame), whole, atol=1e-3)


@pytest.mark.parametrize("eotf", EOTF)
def test_none_is_the_display_curve(eotf, sdr):
    torch.testing.assert_close(Expander("none", eotf=eotf).expand(sdr), EOTF[eotf](sdr))


@pytest.mark.parametrize("model", OPERATORS)
def test_expansion_is_monotonic_in_strength_and_starts_at_the_linearised_sdr(model, sdr):
    steps = [Expander(model, strength=strength, peak=0).expand(sdr) for strength in (0.0, 0.5, 1.0)]
    torch.testing.assert_close(steps[0], EOTF["bt1886"](sdr), atol=1e-6, rtol=1e-4)
    grown = steps[2] > steps[0] + 1e-4
    assert (steps[1][grown] >= steps[0][grown]).all() and (steps[2][grown] >= steps[1][grown]).all()


def test_gamma_leaves_a_pure_power_alone_and_brightens_highlights(sdr):
    plain = Expander("none", peak=0).expand(sdr)
    torch.testing.assert_close(Expander("none", gamma=1.3, peak=0).expand(sdr), plain, atol=1e-6, rtol=1e-4)
    bright = [Expander("expandmap", gamma=gamma, peak=0).expand(sdr).amax() for gamma in (1.0, 1.1, 1.3)]
    assert bright[0] < bright[1] < bright[2]


def test_peak_limits_what_gamma_brightens(sdr):
    assert Expander("expandmap", gamma=1.5, peak=600).expand(sdr).amax() <= 600 / 203


@pytest.mark.parametrize("model", ["expandmap", "bt2446a", "akyuz"])
@pytest.mark.parametrize("option", ["gamma", "strength"])
def test_white_rises_with_gamma_and_strength_without_a_step(model, option):
    white = torch.ones(1, 3, 64, 64)
    levels = [Expander(model, **{option: value}).expand(white).max().item() for value in (1.0, 1.001, 1.1, 1.5, 2.0)]
    assert levels == pytest.approx(sorted(levels), rel=1e-3)
    assert levels[1] == pytest.approx(levels[0], rel=0.01)


def test_expandmap_at_strength_2_lifts_white_to_the_peak():
    linear = Expander("expandmap", strength=2.0, peak=812.0).expand(torch.ones(1, 3, 64, 64))
    torch.testing.assert_close(linear, torch.full_like(linear, 4.0), rtol=1e-4, atol=0.0)


def test_expandmap_keeps_the_grade_away_from_clipping():
    frame = torch.rand(1, 3, 64, 64) * 0.85
    torch.testing.assert_close(Expander("expandmap").expand(frame), EOTF["bt1886"](frame), atol=1e-6, rtol=1e-5)


def test_expandmap_lifts_clipped_areas_halfway_to_the_peak_and_stops_at_their_edge():
    frame = torch.full((1, 3, 128, 256), 0.3)
    frame[..., 128:] = 1.0
    linear = Expander("expandmap", peak=1000).expand(frame)
    torch.testing.assert_close(linear[..., :128], EOTF["bt1886"](frame[..., :128]), atol=1e-6, rtol=1e-4)
    torch.testing.assert_close(linear[..., 128:].mean().item(), (1000 / 203) ** 0.5, rtol=0.05, atol=0)


def test_bt2446a_follows_the_reports_curve():
    # Table 4 of the report by hand: Y'' = 127.5, E = 1.20367, Y''^E / 1000 = 0.34231, to the 2.4 = 0.07639 of 1000
    # nits.
    grey = torch.full((1, 3, 4, 4), 0.5)
    assert Expander("bt2446a").expand(grey)[0, 0, 0, 0].item() * 203 == pytest.approx(76.4, rel=0.01)
    white = Expander("bt2446a").expand(torch.ones(1, 3, 4, 4))
    assert white[0, 0, 0, 0].item() * 203 == pytest.approx(1000, rel=0.01)


@pytest.mark.parametrize("size", [(1, 1), (3, 3), (1, 40), (33, 2)])
@pytest.mark.parametrize("model", [*OPERATORS, "blur"])
def test_any_frame_size_works(model, size, blur):
    assert Expander(model).expand(torch.rand(1, 3, *size)).shape == (1, 3, *size)


def test_the_result_is_an_ordinary_tensor(sdr):
    linear = Expander("none").expand(sdr)
    linear *= 203.0
    scale = torch.ones(1, requires_grad=True)
    (linear * scale).sum().backward()
    assert scale.grad.item() == pytest.approx(linear.sum().item())


def test_an_array_is_refused(sdr):
    with pytest.raises(ValueError, match="not ndarray"):
        Expander("none").expand(sdr.numpy())


def test_light_goes_where_it_is_asked_to_go(sdr):
    expander = Expander("bt2446a")
    wanted, out = expander.expand(sdr), torch.empty_like(sdr)
    assert expander.expand(sdr, out) is out and torch.equal(out, wanted)
    wide = torch.zeros(*sdr.shape[:3], 100)
    expander.expand(sdr, wide[..., 10:85])  # a part of something larger
    assert torch.equal(wide[..., 10:85], wanted) and not wide[..., :10].any() and not wide[..., 85:].any()
    for unfit in (out[:1], out.double()):
        with pytest.raises(ValueError, match="out must be float32"):
            expander.expand(sdr, unfit)


def test_codes_outside_the_range_are_clamped():
    frame = torch.tensor([-0.2, 0.0, 1.0, 1.09]).view(1, 1, 2, 2).expand(1, 3, 2, 2)
    torch.testing.assert_close(Expander("none").expand(frame), frame.clamp(0, 1))


def test_half_precision_stays_close(blur):
    frame = torch.rand(1, 3, 64, 64)
    full = Expander("blur").expand(frame)
    torch.testing.assert_close(Expander("blur", precision="bf16").expand(frame), full, atol=0.05, rtol=0.05)


@pytest.mark.parametrize("model", OPERATORS)
def test_operators_keep_full_precision(model, sdr):
    assert torch.equal(Expander(model, precision="bf16").expand(sdr), Expander(model).expand(sdr))


def test_values_that_are_not_finite_are_refused(blur, monkeypatch):
    monkeypatch.setattr(Blur, "fault", True)
    with pytest.raises(NotFiniteError, match="not finite"):
        Expander("blur").expand(torch.rand(1, 3, 16, 16))


def test_running_out_of_memory_says_what_to_lower(blur, monkeypatch):
    def starve(self, sdr, summary=None):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Blur, "forward", starve)
    with pytest.raises(OutOfMemoryError, match="ran out of memory on 16x24 frames; lower batch"):
        Expander("blur").expand(torch.rand(1, 3, 24, 16))


@pytest.mark.parametrize(
    "frames",
    [torch.rand(3, 8, 8), torch.rand(1, 1, 8, 8), torch.rand(0, 3, 8, 8), torch.zeros(1, 3, 8, 8, dtype=torch.uint8)],
)
def test_frames_of_another_form_are_refused(frames):
    with pytest.raises(ValueError, match="N x 3 x H x W"):
        Expander("none").expand(frames)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"model": "nonsense"}, "unknown model 'nonsense'"),
        ({"gamma": 5.0}, "gamma must be from 0.5 to 2"),
        ({"gamma": float("nan")}, "gamma"),
        ({"peak": 100.0}, "peak must be at least white"),
        ({"white": 1.0}, "white"),
        ({"strength": -1.0}, "strength"),
        ({"device": "tpu"}, "device"),
        ({"precision": "int8"}, "precision"),
        ({"batch": 1000}, "batch"),
        ({"tile": (-1, 4)}, "tile"),
        ({"overlap": -2}, "overlap"),
        ({"eotf": "film"}, "eotf"),
        ({"model": "none", "weights": "w.pth"}, "without weights"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, reason):
    with pytest.raises(ValueError, match=reason):
        Expander(**options)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_asking_for_cuda_where_there_is_none_says_so():
    with pytest.raises(RuntimeError, match="no CUDA device"):
        Expander("none", device="cuda")


@pytest.mark.cuda
@pytest.mark.parametrize("model", OPERATORS)
def test_cuda_gives_what_the_cpu_gives(model, sdr):
    torch.testing.assert_close(
        Expander(model, device="cuda").expand(sdr), Expander(model, device="cpu").expand(sdr), atol=1e-4, rtol=1e-4
    )
