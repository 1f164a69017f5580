"""The order in which a GPU is given work, on a stand-in that takes it at once."""

import contextlib
from types import SimpleNamespace

import pytest
import torch

from vshdr.runtime import cuda as gpu


class Stand:
    """In place of torch.cuda: notes what it is asked for, and plays a graph by calling what was recorded."""

    def __init__(self, refuses: str = "") -> None:
        self.notes: list[str] = []
        self.capturing = False
        self._refuses = refuses

    def Stream(self, device):  # noqa: N802 - torch's name
        number = sum(note.startswith("stream") for note in self.notes)
        self.notes.append(f"stream {number}")
        return SimpleNamespace(
            name=number,
            wait_event=lambda event: self.notes.append(f"{number} waits for {event.of}"),
            synchronize=lambda: self.notes.append(f"wait for {number}"),
        )

    def Event(self, blocking):  # noqa: N802
        event = SimpleNamespace(of=None)
        event.record = lambda stream: setattr(event, "of", stream.name)
        return event

    @contextlib.contextmanager
    def stream(self, stream):
        self.notes.append(f"on {stream.name}")
        yield

    def CUDAGraph(self):  # noqa: N802
        return SimpleNamespace(replay=lambda: self.notes.append("replay"))

    @contextlib.contextmanager
    def graph(self, graph, stream, capture_error_mode):
        assert capture_error_mode == "thread_local"
        self.capturing = True
        try:
            if self._refuses:
                raise RuntimeError(self._refuses)
            yield
        finally:
            self.capturing = False

    def is_current_stream_capturing(self):
        return self.capturing


@pytest.fixture
def cuda(monkeypatch):
    def make(refuses: str = "") -> Stand:
        stand = Stand(refuses)
        monkeypatch.setattr(torch, "cuda", stand)
        return stand

    return make


DEVICE = SimpleNamespace(type="cuda")


def test_streams_wait_for_each_other_and_for_nothing_else(cuda):
    stand = cuda()
    streams = gpu.Streams(DEVICE)
    with streams.use(streams.upload):
        pass
    streams.wait(streams.compute, streams.upload)
    streams.wait(streams.download, streams.compute)
    assert streams.record_event(streams.download, blocking=True).of == 2
    assert stand.notes == ["stream 0", "stream 1", "stream 2", "on 0", "1 waits for 0", "2 waits for 1"]


def test_work_is_recorded_once_and_played_on_new_input(cuda):
    stand = cuda()
    calls = []

    def double(tensor):
        calls.append(stand.capturing)
        return [tensor * 2]

    recorded = gpu.Recorded(double, gpu.Streams(DEVICE).compute)
    (first,) = recorded(torch.ones(3))
    assert calls == [False, False, False, True]  # kernels are chosen before, outside of the graph
    recorded(torch.full((3,), 5.0))
    assert len(calls) == 4 and stand.notes.count("replay") == 2
    assert recorded._inputs[0].tolist() == [5.0] * 3  # what the graph reads
    assert first.tolist() == [2.0] * 3


def test_work_that_cannot_be_recorded_runs_all_the_same(cuda):
    cuda(refuses="operation not permitted when stream is capturing")
    recorded = gpu.Recorded(lambda tensor: [tensor + 1], gpu.Streams(DEVICE).compute)
    with pytest.warns(UserWarning, match="cannot be recorded.*not permitted"):
        assert recorded(torch.zeros(2))[0].tolist() == [1.0, 1.0]
    assert recorded(torch.ones(2))[0].tolist() == [2.0, 2.0]


def test_memory_that_is_short_while_recording_is_no_reason_to_go_on_without(cuda):
    cuda(refuses="CUDA error: out of memory")
    with pytest.raises(RuntimeError, match="out of memory"):
        gpu.Recorded(lambda tensor: [tensor], gpu.Streams(DEVICE).compute)(torch.zeros(2))


def test_what_recording_refuses_does_not_undo_the_fusing(cuda, monkeypatch):
    stand = cuda()
    monkeypatch.setattr(torch, "compile", lambda function, **options: lambda *tensors: function(*tensors))

    def refuses_to_be_recorded(tensor):
        if stand.capturing:
            raise RuntimeError("not permitted while capturing")
        return [tensor]

    fused = gpu.Fused(refuses_to_be_recorded)
    with pytest.warns(UserWarning, match="cannot be recorded"):
        gpu.Recorded(fused, gpu.Streams(DEVICE).compute)(SimpleTensor(2))
    assert fused._call is not fused._function


class SimpleTensor(torch.Tensor):
    """A tensor that says it lies on a GPU."""

    @staticmethod
    def __new__(cls, size):
        return torch.Tensor._make_subclass(cls, torch.zeros(size))

    @property
    def device(self):  # pyright: ignore[reportIncompatibleVariableOverride]  torch's is no property
        return DEVICE

    def clone(self):  # pyright: ignore[reportIncompatibleMethodOverride]  memory formats do not matter here
        return self
