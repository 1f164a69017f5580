"""The virtual camera: pairs of SDR pictures and the linear light that was there, from HDR panoramas and
photos.

A view is rendered, exposed so that a drawn share of it is brighter than SDR white, seen with noise through a
drawn camera curve, overlaid with graphics, and compressed. The truth is clean and follows the grade; `curves`
says how. The conditions of a sample are drawn on the CPU and are the same on every device; all work on pixels
is on the device, but for overlays, which are drawn by Pillow, and real codecs, which are FFmpeg's.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from vshdr.camera import degradations as degrade
from vshdr.camera import views
from vshdr.camera.codec import round_trip
from vshdr.camera.conditions import CameraOptions, Conditions, draw_conditions
from vshdr.camera.overlays import compose
from vshdr.camera.panoramas import Panoramas
from vshdr.colour.transfer import EOTF, INVERSE_EOTF
from vshdr.errors import InputError
from vshdr.runtime.dice import Dice


@dataclass(frozen=True, kw_only=True)
class Pair:
    """N samples on the device of the panoramas."""

    sdr: Tensor
    """N x 3 x H x W code values in [0, 1], as a decoder gives them."""
    linear: Tensor
    """N x 3 x H x W, the truth: display-linear light, 1.0 = SDR white, clean. Below the shoulder it is the
    linearised clean SDR, above it goes on with the scene's own ratios (see `curves`)."""
    scene: Tensor
    """N x 3 x H x W: the exposed light that came into the camera, without overlays. 1.0 is what a hard clip
    would clip."""
    kind: list[str]
    """N descriptions of what was drawn, such as "graded+noise+420+dct+subtitle"; the curve's name comes
    first."""
    second_sdr: Tensor | None = None
    """The same scenes under a small known motion, with fresh noise and compression. Overlays stand still."""
    second_linear: Tensor | None = None
    """The truth of the second view."""
    grid: Tensor | None = None
    """N x H x W x 2: `grid_sample(first, grid, padding_mode="border", align_corners=False)` looks as the
    second view does."""
    valid: Tensor | None = None
    """N x 1 x H x W bool: what this pixel of the second view shows is seen in the first."""


def halved(pair: Pair) -> Pair:
    """`pair` at half its sides, which must be even: means of 2 x 2 pixels, valid where all four are."""

    def mean(picture: Tensor | None) -> Tensor | None:
        return None if picture is None else functional.avg_pool2d(picture, 2)

    pictures = {name: mean(getattr(pair, name)) for name in ("sdr", "linear", "scene", "second_sdr", "second_linear")}
    if pair.grid is None:
        return replace(pair, **pictures)
    # The middle of a block goes where its pixels go in the mean.
    grid = mean(pair.grid.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    return replace(pair, **pictures, grid=grid, valid=mean(pair.valid.float()) == 1.0)


@dataclass(frozen=True, kw_only=True)
class Clip:
    """T frames of one scene under a steady motion of the camera."""

    sdr: Tensor
    """T x 3 x H x W code values."""
    linear: Tensor
    """T x 3 x H x W, the truth, as in `Pair`."""
    grid: Tensor
    """T x H x W x 2: where each pixel lies in the frame before, for grid_sample; the first frame's is the
    identity."""
    valid: Tensor
    """T x 1 x H x W bool: it is seen in the frame before."""
    kind: str
    """What was drawn, as in `Pair`."""

    @property
    def flow(self) -> Tensor:
        """T x 2 x H x W: pixels to the right and down from each pixel to its place in the frame before."""
        height, width = self.grid.shape[1:3]
        identity = views.project_pixels(torch.eye(3, dtype=torch.float64)[None].to(self.grid.device), (height, width))[
            :, :2
        ]
        scale = torch.tensor([width / 2, height / 2], device=self.grid.device)[:, None, None]
        return (self.grid.permute(0, 3, 1, 2) - identity.float()) * scale


_PLAIN = {
    "noise": 0.0,
    "ten_bit": 0.0,
    "dct": 0.0,
    "codec": 0.0,
    "bars": 0.0,
    "graphics": 0.0,
    "clipped": ((1.0, 0.05, 0.15),),
}
CONDITIONS: dict[str, CameraOptions] = {
    "mixed": CameraOptions(),
    "ideal": CameraOptions(**_PLAIN, curves={"ideal": 1.0}, rgb=1.0),
    "camera": CameraOptions(**_PLAIN | {"noise": 1.0}, curves={"sigmoid": 1.0}, rgb=1.0),
    "graded": CameraOptions(**_PLAIN, curves={"graded": 1.0}, rgb=1.0),
    "broadcast": CameraOptions(**_PLAIN | {"codec": 1.0}, curves={"ideal": 1.0}, codecs=("h264",), crf=(23, 23)),
    "still": CameraOptions(
        **_PLAIN | {"noise": 1.0, "codec": 1.0},
        curves={"ideal": 1.0},
        codecs=("h264",),
        crf=(23, 23),
        motion=views.MotionOptions(shift=0.0, roll=0.0, zoom=0.0, shear=0.0),
    ),
}
"""Cameras by name: everything mixed, as in training, and single conditions for measurements."""


class VirtualCamera:
    """Takes pairs and clips of pictures in `panoramas`. The same seed on the same device gives the same ones
    in the same order."""

    def __init__(
        self,
        panoramas: Panoramas,
        options: CameraOptions | None = None,
        *,
        size: tuple[int, int] = (256, 256),
        seed: int = 0,
    ) -> None:
        """`size` is height and width; both must be even for 4:2:0. Raise InputError where they are not."""
        if min(size) < 16 or size[0] % 2 or size[1] % 2:
            raise InputError(f"the camera's height and width must be even and at least 16, not {size[0]} x {size[1]}")
        self.panoramas, self.device = panoramas, panoramas.device
        self.options = options or CameraOptions()
        self.size = size
        self._dice = Dice(seed)
        self._grain = torch.Generator(self.device).manual_seed(seed)

    def pair(self, n: int, *, stability: bool = False) -> Pair:
        """`n` samples; with `stability` also their second views."""
        first = views.draw_views(self.panoramas, n, self.size, self.options.view, self._dice)
        conditions = draw_conditions(n, self.size, self.options, self._dice).to(self.device)
        scene = conditions.tint(views.render(self.panoramas, first, self.size))
        exposure = _exposure(scene, conditions.clipped)
        scene = scene * exposure
        sdr, linear = self._develop(scene, conditions)
        pair = Pair(
            sdr=_stored(sdr, conditions, self.options.codec_frames),
            linear=linear,
            scene=scene,
            kind=conditions.kind,
        )
        if not stability:
            return pair
        second = views.draw_motion(self.panoramas, first, self.size, self.options.motion, self._dice)
        moved = conditions.tint(views.render(self.panoramas, second, self.size)) * exposure
        sdr, linear = self._develop(moved, conditions)
        grid, valid = views.grid_between(first, second, self.size, self.device)
        grid, valid = _stand_still(grid, valid, conditions.overlay)
        return replace(
            pair,
            second_sdr=_stored(sdr, conditions, self.options.codec_frames),
            second_linear=linear,
            grid=grid,
            valid=valid,
        )

    def clip(self, frames: int) -> Clip:
        """`frames` of one panorama: the camera turns, rolls and zooms steadily, by at most `options.motion`
        per frame.

        One exposure, curve and overlay for all; fresh noise in each frame; a codec sees them as one clip.
        Raise InputError where there are only photos.
        """
        sphere = torch.tensor(self.panoramas.spherical)
        if not sphere.any():
            raise InputError("a moving clip needs a panorama, a picture twice as wide as high; there are only photos")
        view = views.draw_views(self.panoramas, 1, self.size, self.options.view, self._dice)
        while not sphere[view.picture]:
            view = views.draw_views(self.panoramas, 1, self.size, self.options.view, self._dice)
        path = views.draw_path(self.panoramas, view, frames, self.size, self.options.motion, self._dice)
        conditions = draw_conditions(1, self.size, self.options, self._dice).to(self.device)
        exposure, developed = None, []
        for index in range(frames):
            scene = conditions.tint(views.render(self.panoramas, _one(path, index), self.size))
            exposure = _exposure(scene, conditions.clipped) if exposure is None else exposure
            developed.append(self._develop(scene * exposure, conditions))
        sdr, linear = (torch.cat(parts) for parts in zip(*developed, strict=True))
        if conditions.codec[0]:
            sdr = round_trip(sdr, *conditions.codec[0])
        else:
            sdr = torch.cat([_stored(frame[None], conditions, 1) for frame in sdr])
        before = replace(path, matrix=torch.cat((path.matrix[:1], path.matrix[:-1])))
        grid, valid = views.grid_between(before, path, self.size, self.device)
        overlay = None if conditions.overlay is None else conditions.overlay.expand(frames, -1, -1, -1)
        grid, valid = _stand_still(grid, valid, overlay)
        return Clip(sdr=sdr, linear=linear, grid=grid, valid=valid, kind=conditions.kind[0])

    def state_dict(self) -> dict[str, Tensor]:
        """Return what a resumed training needs to go on with the same samples."""
        return {"dice": self._dice.generator.get_state(), "grain": self._grain.get_state()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        # States are on the CPU whatever the device is; a checkpoint may have been read onto another.
        self._dice.generator.set_state(state["dice"].cpu())
        self._grain.set_state(state["grain"].cpu())

    def _develop(self, scene: Tensor, conditions: Conditions) -> tuple[Tensor, Tensor]:
        """Return code values with noise and overlays, not quantised, and the clean truth."""
        linear = conditions.curves.truth(scene)
        sdr = conditions.curves.encode(degrade.sensor_noise(scene, conditions.shot, conditions.read, self._grain))
        if conditions.overlay is None:
            return sdr, linear
        # Overlays are blended as code values, so that below white the truth stays what a display shows; where
        # nothing is laid over, light does not go through the curve and back.
        laid = EOTF["bt1886"](compose(INVERSE_EOTF["bt1886"](linear), conditions.overlay))
        return compose(sdr, conditions.overlay), torch.where(conditions.overlay[:, 3:] > 0, laid, linear)


def _one(path: views.Views, index: int) -> views.Views:
    place = slice(index, index + 1)
    return views.Views(picture=path.picture[place], level=path.level[place], matrix=path.matrix[place])


def _exposure(scene: Tensor, clipped: list[float]) -> Tensor:
    """Return N x 1 x 1 x 1 factors after which the given shares of all samples of R, G and B exceed 1."""
    step = 2 if scene.shape[2] * scene.shape[3] > 2**14 else 1  # a quarter of the pixels tells as much
    samples = scene[:, :, ::step, ::step].flatten(1)
    places = [1 + round((samples.shape[1] - 1) * (1 - share)) for share in clipped]
    white = torch.stack([row.kthvalue(place).values for row, place in zip(samples, places, strict=True)])
    return (1 / white.clamp_min(1e-6)).reshape(-1, 1, 1, 1)


def _stored(sdr: Tensor, conditions: Conditions, codec_frames: int) -> Tensor:
    """Return code values after storage in each sample's own form. `codec_frames`: how often a codec sees the frame;
    the last is taken."""
    result = torch.empty_like(sdr)
    groups: dict[tuple[str, bool], list[int]] = {}
    for row, form in enumerate(conditions.form):
        if conditions.codec[row] is None:
            groups.setdefault((form, conditions.steps[row] is not None), []).append(row)
    for (form, transformed), rows in groups.items():
        bits = conditions.bits[rows]
        if form == "rgb":
            most = (torch.exp2(bits) - 1)[:, None, None, None]
            result[rows] = (sdr[rows] * most).round() / most
            continue
        planes = degrade.to_planes(sdr[rows], subsample=form == "420")
        if transformed:
            planes = degrade.dct_quantise(planes, [conditions.steps[row] for row in rows])
        result[rows] = degrade.from_planes(degrade.quantise(planes, bits))
    rows = [row for row, codec in enumerate(conditions.codec) if codec is not None]

    def coded(row: int) -> Tensor:
        return round_trip(sdr[row].expand(codec_frames, -1, -1, -1), *conditions.codec[row])[-1]

    if rows:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            result[rows] = torch.stack(list(pool.map(coded, rows)))
    return result


def _stand_still(grid: Tensor, valid: Tensor, overlay: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return grid and validity where overlays do not move with the scene: what is opaque stays, what is half seen
    through is not valid."""
    if overlay is None:
        return grid, valid
    opacity = overlay[:, 3:]
    identity = torch.eye(3, dtype=torch.float64, device=grid.device)[None]
    identity = views.project_pixels(identity, tuple(grid.shape[1:3]))[:, :2].permute(0, 2, 3, 1).float()
    opaque = opacity >= 1.0
    behind = functional.grid_sample(opacity, grid, padding_mode="border", align_corners=False)
    untouched = valid & (opacity == 0.0) & (behind == 0.0)
    return torch.where(opaque[:, 0, :, :, None], identity, grid), opaque | untouched
