"""Previews: the right panels, and colour only where there is more light than SDR can show."""

from pathlib import Path

import numpy as np
import pytest
import skimage.io
import torch

from vshdr.report.preview import bands, false_colours, tone_map, write_preview


def is_grey(colour: np.ndarray) -> np.ndarray:
    return colour.max(-1) == colour.min(-1)


@pytest.mark.parametrize("white", [100.0, 203.0, 400.0])
def test_the_map_is_grey_up_to_sdr_white_and_coloured_above(white: float) -> None:
    nits = np.array(
        [[0.0, 0.5, 5.0, 30.0, white * 0.6, white, white * 1.01, white * 2, 990.0, 1500.0, 3000.0, 9000.0]], np.float32
    )
    colours = false_colours(nits, white)
    np.testing.assert_array_equal(is_grey(colours), nits <= white)


def test_every_band_has_a_colour_of_its_own() -> None:
    edges, colours = zip(*bands(203.0), strict=True)
    assert len(set(colours)) == len(colours)
    assert list(edges) == sorted(set(edges))
    centres = np.array([[0.9 * min(edge, 9000.0) for edge in edges]], np.float32)
    assert len(np.unique(false_colours(centres, 203.0).reshape(-1, 3), axis=0)) == len(edges)


def test_the_tone_map_keeps_shape_up_to_the_peak() -> None:
    levels = torch.linspace(0.0, 5.0, 200).expand(3, 1, 200)
    shown = tone_map(levels, 5.0)[0, 0]
    assert (shown.diff() > 0).all()
    assert shown[0] == 0.0 and shown[-1] == pytest.approx(1.0, abs=1e-5)
    assert tone_map(levels * 10, 5.0).max() == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (48, 64), (1080, 1920), (400, 200)])
def test_a_sheet_of_three_panels(tmp_path: Path, size: tuple[int, int]) -> None:
    sdr = torch.full((3, *size), 0.5)
    linear = torch.full((3, *size), 0.2)
    linear[:, :, size[1] // 2 :] = 4.0
    write_preview(tmp_path / "preview.png", sdr, linear, white=203.0, peak=1000.0, title="clip, frame 3")
    sheet = skimage.io.imread(tmp_path / "preview.png")
    height, width = sheet.shape[:2]
    assert width <= 3 * 960 + 100
    left, middle, right = (sheet[height // 2 - 3, int(width * (2 * panel + 1) / 6) + 8] for panel in range(3))
    np.testing.assert_array_equal(left, [128, 128, 128])
    assert middle.min() > 200  # 4 x SDR white of at most 4.9: nearly screen white
    expected = dict(bands(203.0))[1000.0]
    np.testing.assert_array_equal(right, expected)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        write_preview(tmp_path / "nowhere/preview.png", torch.zeros(3, 4, 4), torch.zeros(3, 4, 4))
