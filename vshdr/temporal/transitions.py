"""Cut, fade or flash: what happens between a frame and the one before it.

The answer depends on the four frames before the boundary and the four after it, and on nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from vshdr.temporal.signature import Signature, colour_distance, likeness, mean_difference

Transition = Literal["cut", "fade", "flash"]
SHOT_BEGINS = ("cut", "fade")
"""The transitions that begin a shot."""
LOOKAHEAD = 4
"""Number of frames on either side of a boundary that decide. A flash is shorter than this."""
# Measured: frames of one shot up to four apart have a likeness of 0.66 or more, frames of two shots 0.29 or less.
_ALIKE, _BARELY_ALIKE = 0.5, 0.3
_COLOURS_OF_ONE_PICTURE = 0.25
_STEP_OF_A_FADE = 0.1  # code values: two frames without texture that differ by less belong to one shot


def transition(number: int, signatures: Mapping[int, Signature]) -> Transition | None:
    """Return what begins with frame `number`: a shot, by a "cut" or a "fade"; a "flash" within its shot; or None.

    `signatures` holds the frames from `number - LOOKAHEAD` to `number + LOOKAHEAD - 1` that the clip has. A shot begins
    by a cut if no frame before the boundary looks like one after it; a lamp that is switched on, an explosion, a pan or
    a flash of up to three frames leave some that do. It begins by a fade if the picture returns after being black or
    white all over. Where frames carry `_SceneChangePrev`, that property alone decides.
    """
    here, before = signatures[number], signatures.get(number - 1)
    if before is None or here.scene_change is False:
        return None
    if here.scene_change:
        return "cut"
    earlier = [signatures[n] for n in range(number - 1, number - LOOKAHEAD - 1, -1) if n in signatures]
    later = [signatures[n] for n in range(number, number + LOOKAHEAD) if n in signatures]
    if alike(before, here):
        returns = all(s.faded_out for s in earlier) and not any(s.faded_out for s in later)
        return "fade" if returns else None
    if not any(alike(a, b) for a in earlier for b in later):
        return "cut"
    return "flash" if any(alike(before, b) for b in later) else None


def starts_shot(number: int, signatures: Mapping[int, Signature]) -> bool:
    """Return whether a shot begins with frame `number`. Arguments as for `transition`."""
    return transition(number, signatures) in SHOT_BEGINS


def alike(a: Signature, b: Signature) -> bool:
    """Return whether two frames may belong to one shot."""
    same = likeness(a, b)
    if same >= _ALIKE:
        return True
    if not (a.textured and b.textured):
        return mean_difference(a, b) < _STEP_OF_A_FADE
    return same >= _BARELY_ALIKE and colour_distance(a, b) < _COLOURS_OF_ONE_PICTURE
