"""The batch is fixed before the first frame: on a stand-in for a GPU, which works on the CPU with a memory of any size.

Its kernel depends on the batch, as those of a GPU do: a batch that changed midway would change pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from vshdr import Expander
from vshdr.errors import InputError, OutOfMemoryError
from vshdr.expand.backends import MemoryUse, TorchBackend
from vshdr.models import registry
from vshdr.models.cards import Card
from vshdr.models.contract import Display, Model
from vshdr.options.expand import ExpandOptions

MIB = 1 << 20


class Half(Model):
    """Halves light. Takes frames of any size, in tiles of any size."""

    card = Card(name="half", summary="", source="")

    def forward(self, sdr: Tensor, summary: Tensor | None = None) -> Tensor:
        return 0.5 * sdr


class StandIn(TorchBackend):
    """A device with batches and with memory for so many pixels per call."""

    pixels = 1 << 40
    bytes_per_frame = MIB
    free = 1 << 40

    def __init__(self, model: Model) -> None:
        super().__init__(model, torch.device("cpu"))
        self.one_by_one = False
        self.default_batch = 4
        self.calls: list[tuple[int, int, int]] = []

    def apply(self, sdr: Tensor, summary: Tensor | None) -> Tensor:
        count, _, height, width = sdr.shape
        if count * height * width > self.pixels:
            raise torch.OutOfMemoryError("CUDA out of memory")
        self.calls.append((count, width, height))
        return super().apply(sdr, summary) * (1.0 + 2.0**-20 * count)  # rounds by the batch

    def memory_for(self, work: Callable[[], object]) -> MemoryUse:
        work()
        return MemoryUse(needed=self.bytes_per_frame, free=self.free)


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[StandIn]]:
    """The stand-in, as a class whose memory a test can set."""

    class Device(StandIn):
        pass

    monkeypatch.setattr("vshdr.expand.expander.open_backend", lambda options, display: Device(Half(display)))
    yield Device


def calls(expander: Expander) -> list[tuple[int, int, int]]:
    assert isinstance(expander.backend, StandIn)
    return expander.backend.calls


def frames(count: int, height: int = 40, width: int = 60) -> Tensor:
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(1))


def test_a_batch_without_options_is_what_the_memory_has_room_for(device: type[StandIn]) -> None:
    assert Expander().choose_batch(60, 40) == 4  # more gain nothing
    device.free = 5 * MIB
    expander = Expander()
    assert expander.choose_batch(60, 40) == expander.batch == expander.frames_per_call == 2
    device.free = MIB // 2
    assert Expander().choose_batch(60, 40) == 1
    assert Expander(batch=7).choose_batch(60, 40) == 7  # the user's word counts


def test_the_first_call_chooses_what_was_not_chosen_and_later_ones_keep_it(device: type[StandIn]) -> None:
    device.free = 5 * MIB
    expander = Expander()
    expander.expand(frames(5))
    assert calls(expander) == [(1, 60, 40)] + 3 * [(2, 60, 40)]  # a trial, then batches of one size
    device.free = 1 << 40
    expander.expand(frames(3))
    assert {count for count, *_ in calls(expander)[1:]} == {2}
    assert expander.choose_batch(60, 40) == 2


@pytest.mark.parametrize("split", [(6,), (1, 5), (4, 2), (3, 3)])
def test_a_frame_is_the_same_however_a_clip_is_split(device: type[StandIn], split: tuple[int, ...]) -> None:
    clip = frames(6)
    expander = Expander(batch=4)
    together = expander.expand(clip)
    assert torch.equal(torch.cat([expander.expand(part) for part in clip.split(split)]), together)
    assert not torch.equal(Expander(batch=3).expand(clip), together)  # else this test could not fail


@pytest.mark.parametrize("work", [Expander.expand, Expander.gain, lambda expander, sdr: [*expander.expand_clip(sdr)]])
def test_memory_that_runs_out_midway_is_an_error_and_the_batch_stays(device: type[StandIn], work: Callable) -> None:
    clip = frames(8)
    expander = Expander()
    work(expander, clip)
    device.pixels = 2 * 40 * 60  # another program has taken memory
    with pytest.raises(OutOfMemoryError, match=r"ran out of memory on 60x40 frames; lower batch \(now 4\)"):
        work(expander, clip)
    assert expander.batch == 4 and {count for count, *_ in calls(expander)[1:]} == {4}


def test_tiles_are_smaller_from_the_start_where_a_frame_does_not_fit(device: type[StandIn]) -> None:
    clip = frames(2, 300, 400)
    whole = Expander(batch=1).expand(clip)
    device.pixels = 200 * 200
    expander = Expander(batch=1)
    expander.choose_batch(400, 300)
    assert expander.tile == (200, 150)
    assert torch.equal(expander.expand(clip), whole)


def test_where_even_small_tiles_do_not_fit_it_says_so(device: type[StandIn]) -> None:
    device.pixels = 50 * 50
    expander = Expander()
    with pytest.raises(OutOfMemoryError, match="ran out of memory on 400x300 frames"):
        expander.choose_batch(400, 300)
    assert expander.batch == 4 and expander.tile == (0, 0)


def test_a_cpu_takes_frames_one_by_one_whatever_the_batch() -> None:
    clip = frames(3)
    expander = Expander("bt2446a", device="cpu", batch=3)
    assert expander.choose_batch(60, 40) == 3 and expander.frames_per_call == 1
    assert torch.equal(expander.expand(clip), Expander("bt2446a", device="cpu").expand(clip))


def test_a_limit_only_lowers(device: type[StandIn]) -> None:
    expander = Expander()
    expander.limit_batch(8)
    assert expander.batch == 4
    expander.limit_batch(2)
    assert expander.batch == 2


def test_an_expander_without_smooth_does_not_smooth() -> None:
    with pytest.raises(InputError, match="give it smooth"):
        Expander("none", device="cpu").smooth(0, {})


def test_a_backend_can_be_something_else_than_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that the Expander asks is in the protocol: here without a network, a module or a parameter."""

    class Doubling:
        card = Card(name="doubling", summary="", source="", multiple=8, whole_frame=True)
        device, precision, brightest = torch.device("cpu"), "fp32", 2.0
        one_by_one, default_batch, default_tile, recordable = True, 1, 16, False

        def summarise(self, sdr: Tensor) -> Tensor:
            return sdr.amax(dim=(1, 2, 3))

        def cut(self, summary: Tensor | None, size: tuple[int, int], rows: slice, columns: slice) -> Tensor | None:
            return summary

        def apply(self, sdr: Tensor, summary: Tensor | None) -> Tensor:
            assert summary is not None
            return 2.0 * sdr / summary.view(-1, 1, 1, 1)

        def memory_for(self, work: Callable[[], object]) -> None:
            work()

    def opened(options: ExpandOptions, display: Display) -> Doubling:
        return Doubling()

    monkeypatch.setattr("vshdr.expand.expander.open_backend", opened)
    clip = frames(2)
    expanded = Expander(peak=0).expand(clip)
    torch.testing.assert_close(expanded, 2.0 * clip / clip.amax(dim=(1, 2, 3), keepdim=True))


def test_models_are_built_for_the_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry._known, "half", Half)
    expander = Expander("half", device="cpu", precision="bf16")
    assert expander.precision == "fp32"  # it has no parameters
    torch.testing.assert_close(expander.expand(frames(1)), 0.5 * frames(1))
