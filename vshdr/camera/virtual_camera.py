"""The virtual camera: pairs of SDR pictures and the linear light that was there, from HDR panoramas and photos.

A view is rendered and exposed so that a drawn share of it is brighter than SDR white. It goes through sensor noise, a
drawn camera curve, overlaid graphics and compression. The truth has no noise and follows the grade (see `curves`). What
is drawn for each picture is drawn on the CPU and is the same on every device. The work on pixels happens on the
device, except for overlays, which Pillow draws, and video codecs, which are FFmpeg's.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from vshdr.camera.codec import round_trip
from vshdr.camera.conditions import CameraOptions, DrawnConditions, draw_conditions
from vshdr.camera.degradations import sensor_noise
from vshdr.camera.motion import draw_motion, draw_path, grid_between
from vshdr.camera.overlays import compose
from vshdr.camera.pairs import Clip, Pair
from vshdr.camera.panoramas import Panoramas
from vshdr.camera.storage import stored
from vshdr.camera.views import Views, draw_views, render
from vshdr.colour.transfer import EOTF, INVERSE_EOTF
from vshdr.errors import InputError
from vshdr.runtime.dice import Dice
from vshdr.temporal.warp import identity_grid, warp


class VirtualCamera:
    """Takes pairs and clips of the pictures in `panoramas`. The same seed on the same device gives the same ones in the
    same order."""

    def __init__(
        self,
        panoramas: Panoramas,
        options: CameraOptions | None = None,
        *,
        size: tuple[int, int] = (256, 256),
        seed: int = 0,
    ) -> None:
        """Take pictures of (height, width) `size`, both even for 4:2:0 and at least 16, else raise InputError."""
        if min(size) < 16 or size[0] % 2 or size[1] % 2:
            raise InputError(f"the camera's height and width must be even and at least 16, not {size[0]} x {size[1]}")
        self.panoramas = panoramas
        self.device: torch.device = panoramas.device
        self.options: CameraOptions = options or CameraOptions()
        self.size = size
        self._dice = Dice(seed)
        self._grain = torch.Generator(self.device).manual_seed(seed)

    def pair(self, n: int, *, stability: bool = False) -> Pair:
        """Return `n` pairs, with `stability` also their second views."""
        first = draw_views(self.panoramas, n, self.size, self.options.view, self._dice)
        conditions = draw_conditions(n, self.size, self.options, self._dice).to(self.device)
        scene = conditions.tint(render(self.panoramas, first, self.size))
        exposure = _exposure(scene, conditions.clipped)
        scene = scene * exposure
        sdr, linear = self._develop(scene, conditions)
        pair = Pair(
            sdr=stored(sdr, conditions, self.options.codec_frames),
            linear=linear,
            scene=scene,
            kind=conditions.kind,
        )
        if not stability:
            return pair
        second = draw_motion(self.panoramas, first, self.size, self.options.motion, self._dice)
        moved = conditions.tint(render(self.panoramas, second, self.size)) * exposure
        sdr, linear = self._develop(moved, conditions)
        grid, valid = grid_between(first, second, self.size, self.device)
        grid, valid = _stand_still(grid, valid, conditions.overlay)
        return replace(
            pair,
            second_sdr=stored(sdr, conditions, self.options.codec_frames),
            second_linear=linear,
            grid=grid,
            valid=valid,
        )

    def clip(self, frames: int) -> Clip:
        """Return `frames` of one panorama while the camera turns, rolls and zooms steadily, at most by `options.motion`
        per frame.

        Exposure, curve and overlay stay the same. Each frame has fresh noise, and a video codec compresses them as one
        clip. Raise InputError if there are only photos.
        """
        sphere = torch.tensor(self.panoramas.spherical)
        if not sphere.any():
            raise InputError("a moving clip needs a panorama, a picture twice as wide as high; there are only photos")
        view = draw_views(self.panoramas, 1, self.size, self.options.view, self._dice)
        while not sphere[view.picture]:
            view = draw_views(self.panoramas, 1, self.size, self.options.view, self._dice)
        path = draw_path(self.panoramas, view, frames, self.size, self.options.motion, self._dice)
        conditions = draw_conditions(1, self.size, self.options, self._dice).to(self.device)
        exposure, developed = None, []
        for index in range(frames):
            scene = conditions.tint(render(self.panoramas, _one(path, index), self.size))
            exposure = _exposure(scene, conditions.clipped) if exposure is None else exposure
            developed.append(self._develop(scene * exposure, conditions))
        sdr, linear = (torch.cat(parts) for parts in zip(*developed, strict=True))
        if conditions.codec[0]:
            sdr = round_trip(sdr, *conditions.codec[0])
        else:
            sdr = torch.cat([stored(frame[None], conditions, 1) for frame in sdr])
        before = replace(path, matrix=torch.cat((path.matrix[:1], path.matrix[:-1])))
        grid, valid = grid_between(before, path, self.size, self.device)
        overlay = None if conditions.overlay is None else conditions.overlay.expand(frames, -1, -1, -1)
        grid, valid = _stand_still(grid, valid, overlay)
        return Clip(sdr=sdr, linear=linear, grid=grid, valid=valid, kind=conditions.kind[0])

    def state_dict(self) -> dict[str, Tensor]:
        """Return what a resumed training needs to go on with the same pairs."""
        return {"dice": self._dice.generator.get_state(), "grain": self._grain.get_state()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on where `state` was taken."""
        # Generators keep their state on the CPU; a checkpoint may have been loaded onto another device.
        self._dice.generator.set_state(state["dice"].cpu())
        self._grain.set_state(state["grain"].cpu())

    def _develop(self, scene: Tensor, conditions: DrawnConditions) -> tuple[Tensor, Tensor]:
        """Return code values with noise and overlays, not quantised, and the truth, which has no noise."""
        linear = conditions.curves.truth(scene)
        noisy = sensor_noise(scene, conditions.shot_noise, conditions.read_noise, self._grain)
        sdr = conditions.curves.encode(noisy)
        if conditions.overlay is None:
            return sdr, linear
        # Overlays are blended in code values, so that below white the truth is what a display shows. Outside overlays
        # the light is kept as it is, because the curve and back would change it.
        covered = EOTF["bt1886"](compose(INVERSE_EOTF["bt1886"](linear), conditions.overlay))
        return compose(sdr, conditions.overlay), torch.where(conditions.overlay[:, 3:] > 0, covered, linear)


def _one(path: Views, index: int) -> Views:
    only = slice(index, index + 1)
    return Views(picture=path.picture[only], level=path.level[only], matrix=path.matrix[only])


def _exposure(scene: Tensor, clipped: list[float]) -> Tensor:
    """Return factors, N x 1 x 1 x 1, after which the shares `clipped` of all samples of R, G and B are above 1."""
    step = 2 if scene.shape[2] * scene.shape[3] > 2**14 else 1  # a quarter of the pixels is enough to find a quantile
    samples = scene[:, :, ::step, ::step].flatten(1)
    ranks = [1 + round((samples.shape[1] - 1) * (1 - share)) for share in clipped]
    white = torch.stack([row.kthvalue(rank).values for row, rank in zip(samples, ranks, strict=True)])
    return (1 / white.clamp_min(1e-6)).reshape(-1, 1, 1, 1)


def _stand_still(grid: Tensor, valid: Tensor, overlay: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return `grid` and `valid` for overlays that do not move with the scene: where they are opaque the grid is the
    identity, where they are transparent nothing is valid."""
    if overlay is None:
        return grid, valid
    opacity = overlay[:, 3:]
    height, width = grid.shape[1:3]
    identity = identity_grid(height, width, grid.new_empty(0, dtype=torch.float64)).float()
    opaque = opacity >= 1.0
    behind = warp(opacity, grid)
    untouched = valid & (opacity == 0.0) & (behind == 0.0)
    return torch.where(opaque[:, 0, :, :, None], identity, grid), opaque | untouched
