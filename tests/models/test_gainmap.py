"""The default network with its own weights: what it may cost, what it must leave alone, what it must restore."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from vshdr import Expander, models
from vshdr.camera.conditions import CONDITIONS
from vshdr.camera.overlays import compose, draw_overlays
from vshdr.camera.pairs import Pair
from vshdr.camera.panoramas import Panoramas
from vshdr.camera.virtual_camera import VirtualCamera
from vshdr.colour.primaries import luminance
from vshdr.colour.transfer import EOTF
from vshdr.media.read.reader import open_source, read_sdr
from vshdr.metrics import stops
from vshdr.models.contract import Display
from vshdr.models.gainmap import CURVES, FADE_FROM, KNOTS, GainMap, _distribution, _look_up
from vshdr.models.ratios import told_by_others
from vshdr.runtime.dice import Dice
from vshdr.synthetic.panoramas import procedural_panorama
from vshdr.training.learner import Learner

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def pair() -> Pair:
    """Views of synthetic panoramas that no training draws, hard clipped."""
    pictures = Panoramas([procedural_panorama(80_000 + index, 1024) for index in range(4)])
    return VirtualCamera(pictures, CONDITIONS["ideal"], size=(144, 256), seed=3).pair(6)


@pytest.fixture
def frame() -> torch.Tensor:
    """Light, dark and clipped areas with noise; the sides are no multiples of anything."""
    generator = torch.Generator().manual_seed(7)
    ramp = torch.linspace(0, 1.2, 517).expand(1, 3, 395, 517)
    return (ramp + 0.05 * torch.randn(ramp.shape, generator=generator)).clamp(0, 1)


def test_it_is_the_default():
    assert models.DEFAULT == "gainmap" and Expander().card.name == "gainmap"


def test_it_stays_in_its_budget():
    network = models.build("gainmap", "", Display())
    assert sum(parameter.numel() for parameter in network.parameters()) < 2e6
    picture = torch.zeros(1, 3, 1088, 1920)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(picture, network.summarise(picture))
    assert counter.get_total_flops() / 2 <= 15e9


def test_untrained_it_changes_nothing_but_carries_colours_on(frame):
    network = GainMap(Display())
    grey = frame[:, :1, :384, :512].expand(1, 3, 384, 512)
    orange = grey * torch.tensor([1.2, 0.9, 0.5])[:, None, None]
    with torch.no_grad():
        light, glow = network(grey), network(orange.clamp_max(1.0))
    torch.testing.assert_close(light, EOTF["bt1886"](grey))
    red, green = glow[0, :2, :, 460:]  # where red is clipped
    assert (orange[0, 0, :, 460:] > 1).float().mean() > 0.95
    assert (red / green).log2().mean() == pytest.approx(2.4 * math.log2(1.2 / 0.9), abs=0.1)


def test_training_judges_what_is_seen_at_half_size(pair):
    network = models.build("gainmap", "", Display())
    sdr = F.interpolate(pair.sdr, (128, 256), mode="area")
    with torch.no_grad():
        light, small = network(sdr), Learner(network)(sdr)[0]
    assert small.shape == (6, 3, 64, 128)
    apart = ((F.avg_pool2d(light, 2) + 0.05) / (small + 0.05)).log2().abs()
    assert apart.mean() < 0.02 and apart.quantile(0.99) < 0.3


def test_curves_are_looked_up_with_a_channel_and_with_the_smallest():
    own, smallest = (0.1, 0.2, 0.4, 0.6, 0.3), (2.0, 1.0, 1.5, 0.5, 3.0)
    network = GainMap(Display())
    with torch.no_grad():
        network.leave.bias[:CURVES] = torch.tensor([own * 3, smallest * 3]).flatten()
    red, green = torch.tensor([*KNOTS, 0.3, 0.7, 0.96]), torch.tensor([0.99, 0.9, 0.96, 0.99, 1.0, 0.6, 0.8, 0.98])
    sdr = torch.stack((red, green, torch.ones(8)), dim=1)[..., None, None].repeat(1, 1, 64, 64)
    with torch.no_grad():
        coefficients = network.summarise(sdr)
        light = network(sdr, coefficients)
    got = (light / EOTF["bt1886"](sdr)).log2()[..., 30, 30].T
    told = told_by_others(sdr[..., :1, :1], coefficients[:, CURVES:, 3:4, 3:4])[..., 0, 0].T

    def curve(values: tuple[float, ...], code: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(np.interp(code, KNOTS, values)).float()

    for channel in range(3):
        wanted = curve(own, sdr[:, channel, 0, 0]) + curve(smallest, red) + told[channel]
        torch.testing.assert_close(got[channel], wanted, atol=1e-5, rtol=0)


def test_the_distribution_tells_a_shoulder_from_a_clip(pair):
    """The network is told shares of the frame, wherever in it they lie and however large it is."""
    network = models.build("gainmap", "", Display())
    assert isinstance(network, GainMap)

    def told(sdr: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return network.judge(_distribution(F.avg_pool2d(sdr, 4)))

    clip, larger = told(pair.sdr), pair.sdr.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    torch.testing.assert_close(told(pair.sdr.flip(2)), clip, atol=1e-5, rtol=1e-5)
    apart = (told(pair.sdr.clamp_max(0.95)) - clip).norm()
    assert apart > 0.2 * clip.norm() and apart > 3 * (told(larger) - clip).norm()


def test_the_picture_decides_and_not_its_distribution_alone():
    """A network whose features died in training says the same everywhere, and scores no worse for it than operators."""
    network = models.build("gainmap", "", Display())
    _, harbour = next(iter(read_sdr(open_source(Path(__file__).parents[2] / "scripts/clip/harbour.mp4"))))
    with torch.no_grad():
        cells = network.summarise(harbour[None])
        gain_of_white = _look_up(cells, torch.ones(1, 3, *cells.shape[2:]))
    # Ratios that are carried on tell places apart without any network, but not in the channel that clips last.
    assert gain_of_white.std(dim=(2, 3)).min() > 0.4


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_a_frame_looks_the_same_at_any_size(pair, factor):
    """What the network sees has about as many rows whatever the frame's size is; what is small in it stays small."""
    sdr = F.interpolate(pair.sdr[:2], (128, 256), mode="area")
    larger = F.interpolate(sdr, scale_factor=factor, mode="bilinear")
    light, of_larger = (Expander("gainmap", peak=0).expand(picture) for picture in (sdr, larger))
    seen = F.interpolate(of_larger, (128, 256), mode="area")
    apart = ((seen + 0.05) / (light + 0.05)).log2().abs()
    assert apart.mean() < 0.05 and apart.quantile(0.95) < 0.2


def test_the_grade_is_kept_where_nothing_is_near_clipping(frame):
    plain, light = EOTF["bt1886"](frame), Expander("gainmap", peak=0).expand(frame)
    below = (frame.amax(dim=1, keepdim=True) <= FADE_FROM).expand_as(frame)
    torch.testing.assert_close(light[below], plain[below], atol=1e-6, rtol=1e-5)


def test_lamps_come_nearer_to_the_truth(pair):
    wanted = pair.linear.clamp_max(1000 / 203)
    lamps = luminance(wanted) >= 2.0
    errors = [stops.error(Expander(name).expand(pair.sdr), wanted, lamps) for name in ("none", "gainmap")]
    assert errors[1] < 0.75 * errors[0]


@pytest.mark.parametrize("kind", ["panel", "subtitle", "title", "logo", "page"])
def test_white_graphics_do_not_become_lamps(pair, kind):
    overlay = draw_overlays([kind] * 6, (144, 256), Dice(5))
    evening = 0.6 * pair.sdr  # nothing else is white
    light = luminance(Expander("gainmap", peak=0).expand(compose(evening, overlay)))[:, 0]
    white = (overlay[:, 3] == 1.0) & (overlay[:, :3].amin(dim=1) > 0.9)
    assert light[white].median() < 1.2


def test_a_white_frame_is_no_lamp():
    assert luminance(Expander("gainmap", peak=0).expand(torch.ones(1, 3, 270, 480))).max() < 1.2


def test_letterbox_bars_stay_black(pair):
    sdr = pair.sdr.clone()
    sdr[..., :18, :] = sdr[..., -18:, :] = 0.0
    light = Expander("gainmap").expand(sdr)
    assert light[..., :18, :].max() == light[..., -18:, :].max() == 0.0


def test_a_frame_alone_in_a_batch_and_in_tiles_is_the_same(frame):
    generator = torch.Generator().manual_seed(2)
    others = torch.rand(2, *frame.shape[1:], generator=generator)
    alone = Expander("gainmap").expand(frame)
    together = Expander("gainmap", batch=3).expand(torch.cat((others[:1], frame, others[1:])))
    torch.testing.assert_close(together[1:2], alone, atol=1e-5, rtol=0)
    wide = frame.repeat(1, 1, 1, 3)  # wider than a tile with all that it sees
    tiled = Expander("gainmap", tile=(128, 64)).expand(wide)
    torch.testing.assert_close(tiled, Expander("gainmap").expand(wide), atol=1e-5, rtol=0)


def test_odd_pictures_give_light():
    checker = (torch.arange(40)[:, None] + torch.arange(50)) % 2.0
    pictures = {
        "black": torch.zeros(1, 3, 40, 50),
        "white": torch.ones(1, 3, 40, 50),
        "checkerboard": checker.expand(1, 3, 40, 50),
        "noise": torch.rand(1, 3, 40, 50, generator=torch.Generator().manual_seed(1)),
        "one pixel": torch.ones(1, 3, 1, 1),
    }
    for name, picture in pictures.items():
        light = Expander("gainmap", peak=0).expand(picture)
        assert light.shape == picture.shape and torch.isfinite(light).all() and light.min() >= 0.0, name


def test_it_is_too_small_to_gain_by_fewer_bits(pair):
    """What is coarse where the gain is large would show as steps in the sky."""
    exact, quick = (Expander("gainmap", device="cpu", precision=name).expand(pair.sdr) for name in ("fp32", "bf16"))
    assert torch.equal(quick, exact)


def test_training_may_take_fewer_bits(pair):
    learner = Learner(models.build("gainmap", "", Display()))
    sdr = F.interpolate(pair.sdr, (128, 256), mode="area")
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        quick, exact = learner.train()(sdr)[0], learner.eval()(sdr)[0]
    apart = (stops.stops(quick) - stops.stops(exact)).abs()
    assert 1e-3 < apart.max() and apart.mean() < 0.02


def test_strength_goes_from_the_sdr_to_the_network_and_beyond(pair):
    light = [Expander("gainmap", strength=strength, peak=0).expand(pair.sdr) for strength in (0.0, 0.5, 1.0, 2.0)]
    torch.testing.assert_close(light[0], EOTF["bt1886"](pair.sdr), atol=1e-6, rtol=1e-4)
    grown = light[2] > 1.001 * light[0]
    assert grown.any()
    for weaker, stronger in zip(light, light[1:], strict=False):
        assert (stronger[grown] > weaker[grown]).all()


def test_gamma_brightens_highlights(pair):
    clipped = (pair.sdr.amin(dim=1, keepdim=True) >= 1.0).expand_as(pair.sdr)
    levels = [
        Expander("gainmap", gamma=gamma, peak=0).expand(pair.sdr)[clipped].mean() for gamma in (0.9, 1.0, 1.1, 1.3)
    ]
    assert levels == sorted(levels) and levels[-1] > 1.1 * levels[1]


def test_peak_bounds_and_never_darkens_as_it_rises(pair):
    peaks = (400.0, 1000.0, 4000.0, 10000.0)
    light = [Expander("gainmap", peak=peak).expand(pair.sdr) for peak in peaks]
    for peak, picture in zip(peaks, light, strict=True):
        assert picture.max() <= peak / 203 * (1 + 1e-6)
    for lower, higher in zip(light, light[1:], strict=False):
        assert (higher >= lower * (1 - 1e-5)).all()
