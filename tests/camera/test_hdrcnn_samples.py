"""Samples of HDRCNN's virtual camera are written and read back, with headers of any length."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from vshdr.camera.hdrcnn_samples import Sample, StoredSamples, find_samples, fit_response, read_sample, write_sample
from vshdr.colour.camera_response import camera_response
from vshdr.colour.transfer import EOTF

N, SIGMA = 0.85, 0.55


@pytest.fixture
def sample() -> Sample:
    y, x = torch.meshgrid(torch.linspace(0, 3, 40), torch.linspace(0, 3, 56), indexing="ij")
    scene = torch.exp2(1.5 * torch.stack((x, x + 0.3 * y, y)) - 3)
    return Sample(sdr=camera_response(scene.clamp_max(1.0), N, SIGMA), scene=scene, n=N, sigma=SIGMA)


def test_written_samples_are_read_back(tmp_path: Path, sample: Sample) -> None:
    light, picture = write_sample(tmp_path, 12, 3, sample)
    assert (light.name, picture.name) == ("im_000012_000003.bin", "im_000012_000003.jpg")
    assert light.stat().st_size == 4 * (5 + 3 * 40 * 56)
    assert np.fromfile(light, "<f4", 5).tolist() == pytest.approx([40, 56, 3, N, SIGMA])
    assert np.fromfile(light, "<f4")[5:8] == pytest.approx(sample.scene[:, 0, 0].numpy())  # interleaved
    assert find_samples(tmp_path) == [(light, picture)]
    back = read_sample(light, picture)
    assert torch.equal(back.scene, sample.scene)
    assert (back.sdr - sample.sdr).abs().mean() < 0.01 and back.n == pytest.approx(N)


def test_pixels_are_the_end_of_the_file(tmp_path: Path, sample: Sample) -> None:
    light, picture = write_sample(tmp_path, 1, 1, sample)
    data = np.fromfile(light, "<f4")
    np.insert(data, 5, [7.0, 8.0]).astype("<f4").tofile(light)  # a longer header
    assert torch.equal(read_sample(light, picture).scene, sample.scene)


def test_damage_is_told(tmp_path: Path, sample: Sample) -> None:
    with pytest.raises(OSError, match="no bin/im_"):
        find_samples(tmp_path)
    light, picture = write_sample(tmp_path, 1, 1, sample)
    whole = light.read_bytes()
    light.write_bytes(whole[:400])
    with pytest.raises(ValueError, match="cut off"):
        read_sample(light, picture)
    light.write_bytes(b"abcd" * 20)
    with pytest.raises(ValueError, match="no sample of HDRCNN"):
        read_sample(light, picture)
    light.write_bytes(whole)
    picture.write_bytes(b"no JPEG")
    with pytest.raises(ValueError, match="picture cannot be read"):
        read_sample(light, picture)
    picture.unlink()
    with pytest.raises(OSError, match="file is missing"):
        find_samples(tmp_path)


def test_stored_samples_give_pairs_as_the_camera_does(tmp_path: Path, sample: Sample) -> None:
    for crop in (1, 2):
        write_sample(tmp_path, 1, crop, sample, quality=100)
    stored = StoredSamples(find_samples(tmp_path), size=(32, 32), seed=4)
    state = stored.state_dict()
    pair = stored.pair(4)
    assert pair.sdr.shape == pair.linear.shape == (4, 3, 32, 32)
    dark = pair.linear < 0.29
    assert (EOTF["bt1886"](pair.sdr) - pair.linear)[dark].abs().max() < 0.02
    far = pair.scene > 2.0
    ratio = pair.linear[far] / pair.scene[far]
    assert far.any() and ratio.std() < 1e-3 * ratio.mean()
    stored.load_state_dict(state)
    assert torch.equal(stored.pair(4).sdr, pair.sdr)
    with pytest.raises(ValueError, match="one view each"):
        stored.pair(1, stability=True)
    with pytest.raises(ValueError, match="smaller than 64"):
        StoredSamples(find_samples(tmp_path), size=(64, 64)).pair(1)


@pytest.mark.parametrize(("n", "sigma"), [(0.7, 0.9), (1.1, 0.4)])
def test_the_curve_is_found_in_the_pixels(tmp_path: Path, sample: Sample, n: float, sigma: float) -> None:
    """For headers of the published program name the curve of the crop before, or nothing."""
    noise = torch.randn(sample.scene.shape, generator=torch.Generator().manual_seed(1))
    seen = (sample.scene * (1 + 0.02 * noise)).clamp(0.0, 1.0)
    wrong = Sample(sdr=camera_response(seen, n, sigma), scene=sample.scene, n=math.nan, sigma=math.inf)
    found = fit_response(read_sample(*write_sample(tmp_path, 1, 1, wrong, quality=85)))
    light = torch.linspace(0.02, 1.0, 99).expand(1, 3, 1, 99)
    assert (found.encode(light) - camera_response(light, n, sigma)).abs().max() < 0.015
    dark = Sample(sdr=torch.zeros(3, 8, 8), scene=torch.zeros(3, 8, 8), n=n, sigma=sigma)
    assert torch.isfinite(fit_response(dark).truth(light)).all()
