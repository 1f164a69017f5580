"""The C kernels against the PyTorch they stand for."""

import math
import threading
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F

from vshdr import Expander, kernels, models
from vshdr.colour.gain import apply_gain, gain_of
from vshdr.colour.roll_off import RollOff, roll_off
from vshdr.colour.transfer import EOTF, pq_encode
from vshdr.media.content_light import ContentLightMeter
from vshdr.models.contract import Display
from vshdr.models.gainmap import _TRUST, KNOTS, LEVELS, GainMap
from vshdr.temporal.gain_frames import GainFrame
from vshdr.temporal.smoothing import smooth_gain

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module", autouse=True)
def built():
    """An installation without them works, but then these tests say nothing."""
    with torch.no_grad():
        assert kernels.serves(torch.zeros(1)), "the kernels were not built"


def torch_only[*Ts, T](function: Callable[[*Ts], T], *arguments: *Ts) -> T:
    """Call a function without the kernels."""
    with kernels.disabled(), torch.no_grad():
        return function(*arguments)


@pytest.fixture
def frame() -> torch.Tensor:
    """Black, dark, light and clipped areas with noise."""
    generator = torch.Generator().manual_seed(7)
    ramp = torch.linspace(-0.1, 1.3, 320).expand(2, 3, 192, 320)
    return (ramp + 0.1 * torch.randn(ramp.shape, generator=generator)).clamp(0, 1)


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (8, 1), (63, 64), (64, 63), (192, 320)])
def test_reduce_averages_what_is_there(frame, size):
    part = frame[..., : size[0], : size[1]]  # not contiguous, as the planes of a padded frame
    with torch.no_grad():
        torch.testing.assert_close(kernels.reduce(part), F.avg_pool2d(part, 2, ceil_mode=True))


def test_shares_are_means_of_ramps(frame):
    values = frame.flatten(2)
    ramps = [((values - a) / (b - a)).clamp(0, 1).mean(dim=2) for a, b in zip(LEVELS, LEVELS[1:], strict=False)]
    with torch.no_grad():
        # How floats are summed up depends on the compiler; two pixels of these frames make 3e-5.
        torch.testing.assert_close(kernels.shares_above(values, LEVELS), torch.stack(ramps, dim=2), rtol=0.0, atol=3e-5)


@pytest.mark.parametrize(("eotf", "larger"), [*((eotf, 1) for eotf in EOTF), ("bt1886", 2), ("bt1886", 4)])
def test_gainmap_is_the_same_with_and_without(frame, eotf, larger):
    """With random curves of every size, in every display's light, with cells of all but the largest size: nothing that
    its own weights never do is left out.
    """
    frame = F.interpolate(frame, scale_factor=larger)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        network = GainMap(Display(eotf=eotf))
    generator = torch.Generator().manual_seed(1)
    for layer in (network.leave, network.tell_deepest, network.tell_last):  # untrained they are zero, the others random
        for parameter in layer.parameters():
            parameter.data = 0.2 * torch.randn(parameter.shape, generator=generator)
    with torch.no_grad():
        light = network(frame)
    wanted = torch_only(network, frame)
    assert wanted.max() > 8.0 and wanted.min() == 0.0
    torch.testing.assert_close(light, wanted, rtol=3e-5, atol=1e-7)


def test_curves_that_do_not_fit_are_refused(frame):
    with pytest.raises(ValueError, match="do not fit"):
        kernels.look_up(torch.zeros(2, 32, 24, 41), kernels.reduce(frame.contiguous()), KNOTS, (-2.0, 7.0), _TRUST)


def test_rows_are_shared_among_threads_without_a_trace(frame):
    network = models.build("gainmap", "", Display())
    with torch.no_grad():
        curves = network.summarise(frame)
        assert curves is not None
        results = []
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            reduced = kernels.reduce(frame)
            gain = kernels.look_up(curves, reduced, KNOTS, (-2.0, 7.0), _TRUST)
            light = kernels.brighten(gain, frame, (0.6, 0.98), 2.4)
            assert kernels.limit_and_roll_off(light, 1.0, 0.5, 3.0, light)
            results.append(light)
    assert torch.equal(results[0], results[1]) and torch.equal(results[0], results[2])


@pytest.mark.parametrize(
    ("ceiling", "brightest"),
    [(5.0, 128.0), (5.0, math.inf), (5.0, 5.02), (5.0, 4.0), (1.0, 9.0), (0.5, 9.0), (math.inf, 9.0)],
)
def test_settling_is_the_roll_off(ceiling, brightest):
    light = torch.cat([torch.linspace(-0.1, 6, 3000), torch.logspace(-6, 2, 3000)]).clamp_max(brightest)
    light = torch.stack((light, light * 0.5, light.flip(0))).view(1, 3, 60, 100)
    curve = RollOff.below(ceiling, brightest=brightest)
    wanted = roll_off(light.clamp_min(0), curve)
    with torch.no_grad():
        assert kernels.limit_and_roll_off(light, *curve, light)
    torch.testing.assert_close(light, wanted, rtol=2e-6, atol=1e-7)


def test_light_is_measured_alike(frame):
    light = 8.0 * frame[0].pow(4)
    meters = [ContentLightMeter() for _ in range(2)]
    frames = meters[0].add(light), torch_only(meters[1].add, light)
    assert frames[0].brightest == pytest.approx(frames[1].brightest, rel=1e-6)
    assert frames[0].average == pytest.approx(frames[1].average, rel=1e-6)
    for percent in (10, 50, 90, 99.9):
        assert meters[0].percentile(percent) == pytest.approx(meters[1].percentile(percent), rel=2e-3)


def test_functions_of_whole_tensors():
    generator = torch.Generator().manual_seed(2)
    base = torch.rand(2, 3, 70, 90, generator=generator).pow(4)
    base[0, 0, :5] = 0.0
    gain = 9.0 * torch.rand(base.shape, generator=generator) - 2.0
    with torch.no_grad():
        light = apply_gain(base, gain)
        for name in ("bt1886", "gamma22"):
            torch.testing.assert_close(EOTF[name](base), torch_only(EOTF[name], base), rtol=2e-6, atol=1e-9)
        torch.testing.assert_close(light, torch_only(apply_gain, base, gain), rtol=2e-6, atol=1e-7)
        torch.testing.assert_close(gain_of(base, light), torch_only(gain_of, base, light), rtol=1e-5, atol=2e-6)
        assert EOTF["bt1886"](torch.tensor([-1.0, -0.1, -0.0, 0.0])).tolist() == [0.0] * 4
        assert EOTF["bt1886"](torch.tensor([math.nan])).isnan().all()


@pytest.mark.parametrize("size", [(1, 1), (7, 1), (64, 90), (135, 241)])
def test_smoothing_is_the_same_with_and_without(size):
    """A pan with noise over pictures of every parity, in which a lamp flickers."""
    height, width = size
    generator = torch.Generator().manual_seed(4)
    scene = torch.rand(1, 3, height // 8 + 2, width // 8 + 4, generator=generator)
    scene = F.interpolate(scene, (height + 8, width + 8), mode="bicubic").clamp(0, 1)[0]
    window = {}
    for number in range(4):
        code = scene[:, number : number + height, 2 * number : 2 * number + width]
        code = (code + 0.02 * torch.randn(code.shape, generator=generator)).clamp(0, 1)
        gain = (2.0 + 0.5 * number) * (code - 0.6).clamp_min(0.0)
        window[number] = GainFrame.of(code, gain, brightness=0.5, starts_shot=number == 0, linearise=EOTF["bt1886"])
    with torch.no_grad():
        smoothed = smooth_gain(2, window, range(4))
    torch.testing.assert_close(smoothed, torch_only(smooth_gain, 2, window, range(4)), rtol=2e-3, atol=2e-4)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_found(value):
    light = torch.ones(1, 3, 5, 7)
    light[0, 2, 4, 6] = value
    with torch.no_grad():
        assert not kernels.limit_and_roll_off(light, math.inf, 1.0, math.inf, light)


def test_light_that_is_not_a_number_stays_within_the_bins():
    light = torch.full((3, 4, 8), 0.5)
    light[:, 2, 3] = math.nan
    bins = torch.zeros(64, dtype=torch.int64)
    with torch.no_grad():
        kernels.measure_light(light, (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0), (0.25, 1.0), 19, bins)
    assert bins.nonzero().flatten().tolist() == [0, 16] and bins.tolist()[0] == 1 and bins.sum() == light[0].numel()


@pytest.mark.parametrize("channel", range(3))
def test_a_code_that_is_not_a_number_is_not_lost_on_the_way(channel):
    sdr = torch.full((1, 3, 64, 64), 0.5)
    sdr[0, channel, 30, 30] = math.nan
    with pytest.raises(RuntimeError, match="not finite"):
        Expander(device="cpu").expand(sdr)


def test_nothing_that_needs_a_gradient_goes_through_them():
    assert not kernels.serves(torch.zeros(1))
    with torch.no_grad():
        assert not kernels.serves(torch.zeros(1, dtype=torch.float64))
        assert not kernels.serves(torch.zeros(4, 4).T)
        assert not kernels.serves(torch.zeros(()))
        assert not kernels.serves(torch.zeros(1, device="meta"))


def test_they_can_be_switched_off():
    with torch.no_grad():
        with kernels.disabled():
            with kernels.disabled():
                assert not kernels.serves(torch.zeros(1))
            found: list[bool] = []
            thread = threading.Thread(target=torch_only, args=(lambda: found.append(kernels.serves(torch.zeros(1))),))
            thread.start()
            thread.join()
            assert found == [False] and not kernels.serves(torch.zeros(1))  # another thread's block is over
        assert kernels.serves(torch.zeros(1))
        with pytest.raises(InterruptedError), kernels.disabled():
            raise InterruptedError
        assert kernels.serves(torch.zeros(1))


def test_the_package_works_without_them(frame):
    expander = Expander(device="cpu", precision="fp32")
    codes = [pq_encode(light * 203) * 1023 for light in (expander.expand(frame), torch_only(expander.expand, frame))]
    assert (codes[0] - codes[1]).abs().max() < 0.01


def test_a_library_of_another_build_is_refused(monkeypatch):
    monkeypatch.setattr(kernels, "_ABI", -1)
    with pytest.raises(RuntimeError, match="of another build than the package; install vshdr again"):
        kernels._load.__wrapped__()
