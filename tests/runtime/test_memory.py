"""Memory that is used again."""

import gc

import pytest
import torch

from vshdr import Expander
from vshdr.runtime.memory import Pool, Workspaces, large


def test_a_pool_gives_what_nobody_has_any_more():
    pool = Pool()
    first = pool.empty((3, 4, 5))
    place = first.data_ptr()
    second = pool.empty((3, 4, 5))
    assert second.data_ptr() != place and first.shape == (3, 4, 5) and first.dtype == torch.float32
    del first
    gc.collect()
    assert pool.empty((5, 12)).data_ptr() == place  # as many numbers, in another shape


@pytest.mark.parametrize(
    "look", [lambda t: t[1, 2:], lambda t: t.numpy()[0], lambda t: list(t)[2], lambda t: t.view(-1)]
)
def test_a_pool_waits_for_every_view(look):
    pool = Pool()
    lent = pool.empty((3, 4, 5)).fill_(1.0)
    place = lent.data_ptr()
    seen = look(lent)
    del lent
    gc.collect()
    others = [pool.empty((3, 4, 5)) for _ in range(3)]
    assert place not in [other.data_ptr() for other in others]
    for other in others:
        other.fill_(7.0)
    assert torch.all(torch.as_tensor(seen) == 1.0)


def test_a_workspace_gives_the_same_tensors_in_turn():
    spaces = Workspaces()
    with spaces.borrow():
        places = [large((2, 3)).data_ptr(), large((2, 3)).data_ptr()]
        with spaces.borrow():  # another thread's, or a model within a model
            assert large((2, 3)).data_ptr() not in places
    with spaces.borrow():
        assert [large((2, 3)).data_ptr(), large((2, 3)).data_ptr()] == places
        assert large((4, 5)).shape == (4, 5)
    assert large((2, 3)).data_ptr() not in places


def test_what_is_expanded_is_not_overwritten_by_the_next_frame():
    expander = Expander(device="cpu")
    frames = torch.rand(2, 1, 3, 96, 128, generator=torch.Generator().manual_seed(1))
    first = expander.expand(frames[0])
    kept = first.clone()
    expander.expand(frames[1])
    assert torch.equal(first, kept)
