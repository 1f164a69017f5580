"""Cut, fade or flash: what happens between a frame and the one before it.

The answer depends on the four frames before and the four from there on, and on nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from vshdr.temporal.signature import Signature, colour_distance, likeness, mean_difference

Transition = Literal["cut", "fade", "flash"]
SHOT_BEGINS = ("cut", "fade")
"""The transitions that begin a shot."""
LOOK = 4
"""Frames that are looked at on either side of a boundary. A flash is shorter than this."""
# Measured: frames of one shot up to four apart have a likeness of 0.66 or more, frames of two shots 0.29 or less.
_ALIKE, _BARELY_ALIKE = 0.5, 0.3
_COLOURS_OF_ONE_PICTURE = 0.25
_STEP_OF_A_FADE = 0.1  # code values: a frame without structure, and one that is hardly brighter or darker


def transition(number: int, signatures: Mapping[int, Signature]) -> Transition | None:
    """Return what frame `number` begins: a shot, by "cut" or "fade", a "flash" within its shot, or nothing, None.

    `signatures` holds the frames from `number - LOOK` to `number + LOOK - 1` as far as the clip has them. A shot begins
    by a cut where no frame before the boundary looks like one behind it: a lamp that is switched on, an explosion, a
    pan or up to three frames of a flash leave some that do. It begins by a fade where the picture comes back after
    being all black or all white. Where frames carry `_SceneChangePrev`, that alone says where shots begin.
    """
    here, before = signatures[number], signatures.get(number - 1)
    if before is None or here.scene_change is False:
        return None
    if here.scene_change:
        return "cut"
    earlier = [signatures[n] for n in range(number - 1, number - LOOK - 1, -1) if n in signatures]
    later = [signatures[n] for n in range(number, number + LOOK) if n in signatures]
    if alike(before, here):
        returns = all(g.faded_out for g in earlier) and not any(g.faded_out for g in later)
        return "fade" if returns else None
    if not any(alike(a, b) for a in earlier for b in later):
        return "cut"
    return "flash" if any(alike(before, b) for b in later) else None


def starts_shot(number: int, signatures: Mapping[int, Signature]) -> bool:
    """Return whether frame `number` begins a shot. Arguments as for `transition`."""
    return transition(number, signatures) in SHOT_BEGINS


def alike(a: Signature, b: Signature) -> bool:
    """Return whether two frames may belong to one shot."""
    same = likeness(a, b)
    if same >= _ALIKE:
        return True
    if not (a.textured and b.textured):
        return mean_difference(a, b) < _STEP_OF_A_FADE
    return same >= _BARELY_ALIKE and colour_distance(a, b) < _COLOURS_OF_ONE_PICTURE
