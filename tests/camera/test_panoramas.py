"""HDR pictures are read as they were written, kept with their range, and sampled without a seam."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import OpenEXR
import pytest
import torch

from vshdr.camera.hdr_files import HALF_MAXIMUM, find_hdr_files, read_hdr, scene_name, split
from vshdr.camera.panoramas import Panoramas


def write_exr(path: Path, picture: torch.Tensor, **header: object) -> Path:
    planes = dict(zip("RGB", picture.numpy(), strict=True))
    with OpenEXR.File(
        {"type": OpenEXR.scanlineimage, "compression": OpenEXR.ZIP_COMPRESSION, **header}, planes
    ) as file:
        file.write(str(path))
    return path


def write_radiance(path: Path, mantissa: np.ndarray, exponent: int) -> Path:
    """Run-length encoded RGBE: every byte of `mantissa` (H x W x 3) literally, one exponent for all."""
    height, width, _ = mantissa.shape
    data = b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y %d +X %d\n" % (height, width)
    for row in mantissa:
        data += bytes((2, 2, width >> 8, width & 255))
        for channel in row.T:
            data += b"".join(bytes((len(part), *part)) for part in np.array_split(channel, width // 64))
        data += bytes((128 + 64, exponent)) * (width // 64)  # runs of 64
    path.write_bytes(data)
    return path


def test_exr_is_read_as_written(tmp_path: Path) -> None:
    picture = torch.rand(3, 6, 10) * 1e5
    assert torch.equal(read_hdr(write_exr(tmp_path / "a.exr", picture)), picture)


def test_exr_of_other_primaries_is_converted(tmp_path: Path) -> None:
    bt2020 = (0.708, 0.292, 0.170, 0.797, 0.131, 0.046, 0.3127, 0.3290)
    white = torch.ones(3, 2, 2)
    assert torch.allclose(read_hdr(write_exr(tmp_path / "w.exr", white, chromaticities=bt2020)), white, atol=1e-4)
    green = torch.tensor([0.3293, 0.9195, 0.0880])[:, None, None].expand(3, 2, 2).contiguous()  # BT.709 green, BT.2087
    converted = read_hdr(write_exr(tmp_path / "g.exr", green, chromaticities=bt2020))[:, 0, 0]
    assert torch.allclose(converted, torch.tensor([0.0, 1.0, 0.0]), atol=2e-3)


def test_radiance_is_read(tmp_path: Path) -> None:
    mantissa = np.random.default_rng(0).integers(1, 256, (4, 128, 3))
    picture = read_hdr(write_radiance(tmp_path / "a.hdr", mantissa, 139))
    expected = torch.from_numpy(mantissa).permute(2, 0, 1).float() * 2.0 ** (139 - 136)
    assert picture.shape == (3, 4, 128)
    assert ((picture - expected).abs() <= 0.5 * 2.0**3).all()  # readers differ in whether they add half a step


def test_damaged_and_missing_files_are_named(tmp_path: Path) -> None:
    for name in ("broken.exr", "broken.hdr"):
        (tmp_path / name).write_bytes(b"nothing of the kind")
        with pytest.raises(ValueError, match=name):
            read_hdr(tmp_path / name)
    (tmp_path / "empty").mkdir()
    with pytest.raises(OSError, match="no .exr or .hdr"):
        find_hdr_files(tmp_path / "empty")
    assert [path.name for path in find_hdr_files(tmp_path)] == ["broken.exr", "broken.hdr"]


def test_scenes_are_never_split_over_both_sides() -> None:
    assert scene_name("a/studio_small_03_1k.hdr") == "studio_small"
    assert scene_name("sunset_02_puresky.exr") == "sunset"
    paths = [Path(f"{place}_{number:02d}.exr") for place in "abcdefghij" for number in range(3)]
    training, validation = split(paths, 0.2, seed=1)
    assert sorted(training + validation) == paths and len(validation) == 6
    assert not {scene_name(path) for path in training} & {scene_name(path) for path in validation}
    assert split(paths, 0.2, seed=1) == (training, validation)
    assert any(split(paths, 0.2, seed=seed)[1] != validation for seed in range(2, 5))
    with pytest.raises(ValueError, match="nothing to train on"):
        split(paths[:3], 0.2)


def test_kind_range_and_size_of_stored_pictures(tmp_path: Path) -> None:
    panorama, photo = torch.rand(3, 64, 128) + 0.01, torch.rand(3, 96, 128) + 0.01
    panorama[:, 5, 7] = 1e9
    pictures = Panoramas([panorama, write_exr(tmp_path / "field_puresky.exr", photo)], max_width=64)
    assert pictures.spherical == [True, False]
    assert pictures.weights.tolist() == [1.0, 0.25]
    assert pictures.texels.dtype == torch.float16 and pictures.texels.isfinite().all()
    assert float(pictures.texels.max()) == HALF_MAXIMUM
    first = pictures.levels[0][0]
    assert (first.height, first.width) == (32, 64)
    middle = pictures.texels[: first.height * first.width].float() @ torch.tensor([0.2126, 0.7152, 0.0722])
    assert 0.12 <= middle.median() <= 0.26
    assert any(abs(x * 128 - 7.5) < 2 and abs(y * 64 - 5.5) < 2 for x, y in pictures.lights[0].tolist())
    assert Panoramas([panorama, photo], max_width=63).spherical == [True, False]
    with pytest.raises(ValueError, match="black"):
        Panoramas([torch.zeros(3, 4, 8)])
    with pytest.raises(ValueError, match="no pictures"):
        Panoramas([])


def test_a_panorama_has_no_seam_and_a_photo_has_edges() -> None:
    row = torch.arange(1.0, 17.0).expand(3, 8, 16)
    panorama = Panoramas([row, row[:, :, :10]], dtype=torch.float32)
    scale = float(panorama.texels[0, 0])
    x, y = torch.tensor([0.0, 1.0, 0.5 / 16, -0.5 / 16]).reshape(1, 1, 4), torch.full((1, 1, 4), 0.5)
    seen = panorama.sample(torch.tensor([0]), torch.tensor([0]), x, y)[0, 0, 0] / scale
    assert seen.tolist() == pytest.approx([8.5, 8.5, 1.0, 16.0])  # 8.5 lies between the last column and the first
    scale = float(panorama.texels[panorama.levels[1][0].start, 0])
    seen = panorama.sample(torch.tensor([1]), torch.tensor([0]), x, y)[0, 0, 0] / scale
    assert seen.tolist() == pytest.approx([1.0, 10.0, 1.0, 1.0])


def test_smaller_copies_keep_the_light() -> None:
    pictures = Panoramas([torch.rand(3, 64, 128) ** 4 + 0.01], dtype=torch.float32)
    means = [
        pictures.texels[level.start : level.start + level.height * level.width].mean() for level in pictures.levels[0]
    ]
    assert torch.stack(means) / means[0] == pytest.approx(torch.ones(len(means)), rel=1e-4)


def test_synthetic_panoramas_are_hdr_and_reproducible() -> None:
    pictures, again = (Panoramas.procedural(4, seed=2, width=256) for _ in range(2))
    assert torch.equal(pictures.texels, again.texels)
    assert not torch.equal(pictures.texels, Panoramas.procedural(4, seed=3, width=256).texels)
    assert len(pictures) == 4 and all(pictures.spherical)
    for levels in pictures.levels:
        texels = pictures.texels[levels[0].start : levels[0].start + levels[0].height * levels[0].width].float()
        assert texels.max() > 50 * texels.median()
        picture = texels.reshape(levels[0].height, levels[0].width, 3).log2()
        seam = (picture[:, 0] - picture[:, -1]).abs().mean()
        assert seam < 2 * (picture[:, 1:] - picture[:, :-1]).abs().mean() + 0.05
