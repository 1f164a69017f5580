"""What is laid over a picture after exposure: letterbox bars, subtitles, titles, logos, panels and white pages.

Their white is SDR white, however bright the scene is, so that a network learns not to take them for lamps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from vshdr.runtime.dice import Dice

# Letters of made-up words, the frequent ones more often.
_LETTERS = "aaabcdeeeefghiiklmnnoooprrsstttuuvwy"


def draw_overlays(names: Sequence[str], size: tuple[int, int], dice: Dice) -> Tensor:
    """Return RGB code values and opacity, N x 4 x H x W in [0, 1], for N pictures of (height, width) `size`.

    A name is a key of `KINDS`, several keys joined by "+" from back to front, or empty for nothing.
    """
    layers = torch.zeros(len(names), 4, *size)
    for layer, name in zip(layers, names, strict=True):
        if name:
            canvas = Image.new("RGBA", (size[1], size[0]), (0, 0, 0, 0))
            for kind in name.split("+"):
                KINDS[kind](canvas, dice)
            layer.copy_(torch.from_numpy(np.array(canvas)).permute(2, 0, 1) / 255)
    return layers


def compose(below: Tensor, overlay: Tensor) -> Tensor:
    """Return code values `below`, N x 3 x H x W, with `overlay`, N x 4 x H x W, over them."""
    return torch.lerp(below, overlay[:, :3], overlay[:, 3:])


def _white(dice: Dice) -> tuple[int, int, int, int]:
    """Return an opaque white: mostly full white, sometimes 84 to 99 % as broadcasters prefer, slightly tinted."""
    if dice.chance(0.6):
        return 255, 255, 255, 255
    level = dice.uniform(215, 253)
    red, green, blue = (min(255, round(level * dice.uniform(0.97, 1.02))) for _ in range(3))
    return red, green, blue, 255


def _colour(dice: Dice) -> tuple[int, int, int, int]:
    return dice.below(256), dice.below(256), dice.below(256), 255


def _words(dice: Dice, count: int) -> str:
    words = ["".join(_LETTERS[dice.below(len(_LETTERS))] for _ in range(2 + dice.below(8))) for _ in range(count)]
    return " ".join(words).capitalize()


def _bars(canvas: Image.Image, dice: Dice) -> None:
    """Draw black bars above and below, or left and right."""
    width, height = canvas.size
    brush = ImageDraw.Draw(canvas)
    if dice.chance(0.8):
        bar = round(height * dice.uniform(0.06, 0.18))
        boxes = ((0, 0, width, bar - 1), (0, height - bar, width, height))
    else:
        bar = round(width * dice.uniform(0.08, 0.2))
        boxes = ((0, 0, bar - 1, height), (width - bar, 0, width, height))
    for box in boxes:
        brush.rectangle(box, (0, 0, 0, 255))


def _subtitle(canvas: Image.Image, dice: Dice) -> None:
    """Draw a line or two at the bottom: white or yellow, with a dark outline or on a dark box."""
    width, height = canvas.size
    letter = height * dice.uniform(0.05, 0.1)
    text = "\n".join(_words(dice, 2 + dice.below(3)) for _ in range(1 + dice.below(2)))
    place, font = (width / 2, height * dice.uniform(0.86, 0.97)), ImageFont.load_default(letter)
    brush = ImageDraw.Draw(canvas)
    if dice.chance(0.2):
        brush.rectangle(brush.multiline_textbbox(place, text, font, "md", align="center"), (0, 0, 0, 255))
    fill = (255, 240, 60, 255) if dice.chance(0.15) else _white(dice)
    brush.multiline_text(
        place,
        text,
        fill,
        font,
        "md",
        align="center",
        stroke_width=round(letter * 0.08),
        stroke_fill=(0, 0, 0, 255),
    )


def _title(canvas: Image.Image, dice: Dice) -> None:
    """Draw large letters without an outline, anywhere."""
    width, height = canvas.size
    font = ImageFont.load_default(height * dice.uniform(0.1, 0.3))
    fill = _white(dice) if dice.chance(0.7) else _colour(dice)
    place = width * dice.uniform(0.2, 0.8), height * dice.uniform(0.2, 0.8)
    ImageDraw.Draw(canvas).text(place, _words(dice, 1 + dice.below(2)), fill, font, "mm")


def _logo(canvas: Image.Image, dice: Dice) -> None:
    """Draw a small sign in a corner, opaque or transparent."""
    width, height = canvas.size
    size = height * dice.uniform(0.08, 0.18)
    x = width * 0.04 if dice.chance(0.5) else width * 0.96 - size
    y = height * 0.05 if dice.chance(0.5) else height * 0.95 - size
    layer = Image.new("RGBA", canvas.size, (0, 0, 0, 0))
    brush, fill = ImageDraw.Draw(layer), _white(dice) if dice.chance(0.6) else _colour(dice)
    shape = (brush.ellipse, brush.rectangle)[dice.below(2)]
    shape((x, y, x + size, y + size), fill)
    brush.text(
        (x + size / 2, y + size / 2),
        _words(dice, 1)[:3],
        _colour(dice),
        ImageFont.load_default(size * 0.5),
        "mm",
    )
    opacity = 1.0 if dice.chance(0.6) else dice.uniform(0.3, 0.8)
    layer.putalpha(layer.getchannel("A").point([round(alpha * opacity) for alpha in range(256)]))
    canvas.alpha_composite(layer)


def _page(canvas: Image.Image, dice: Dice) -> None:
    """Draw a white page over a part or all of the picture, mostly with dark text."""
    width, height = canvas.size
    share = 1.0 if dice.chance(0.3) else dice.uniform(0.25, 0.8)
    left, top = width * (1 - share) * dice.uniform(), height * (1 - share) * dice.uniform()
    right, bottom = left + width * share, top + height * share
    brush = ImageDraw.Draw(canvas)
    brush.rectangle((left, top, right, bottom), _white(dice))
    if dice.chance(0.8):
        letter, ink = height * dice.uniform(0.03, 0.09), (dice.below(120), dice.below(120), dice.below(120), 255)
        font, line = ImageFont.load_default(letter), top + letter
        while line + 2 * letter < bottom:
            text = _words(dice, 3 + dice.below(6))
            fitting = max(1, int(len(text) * min(1.0, (right - left - 2 * letter) / font.getlength(text))))
            brush.text((left + letter, line), text[:fitting], ink, font)
            line += letter * 1.5


def _panel(canvas: Image.Image, dice: Dice) -> None:
    """Draw a lower third: a coloured box with white text."""
    width, height = canvas.size
    top, bottom = height * dice.uniform(0.65, 0.8), height * dice.uniform(0.85, 0.95)
    left, right = width * dice.uniform(0.0, 0.2), width * dice.uniform(0.5, 1.0)
    brush = ImageDraw.Draw(canvas)
    brush.rectangle((left, top, right, bottom), _colour(dice))
    letter = (bottom - top) * 0.5
    brush.text(
        (left + letter / 2, (top + bottom) / 2),
        _words(dice, 2),
        _white(dice),
        ImageFont.load_default(letter),
        "lm",
    )


KINDS: dict[str, Callable[[Image.Image, Dice], None]] = {
    "bars": _bars,
    "subtitle": _subtitle,
    "title": _title,
    "logo": _logo,
    "page": _page,
    "panel": _panel,
}
"""All overlays by name; each draws on a transparent canvas."""
