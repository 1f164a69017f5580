"""Where rays hit spheres, upright cylinders, boxes and a plane of water.

Rays are N x 3 origins and N x 3 unit directions, in metres, x to the right, y up, z away from the viewer. All rays of a
bundle are tested in one operation (N x K) against all primitives of one kind that the bundle might hit.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property

import torch
from torch import Tensor

NEAR = 1e-3
"""Metres: a hit nearer than this is the surface that the ray starts from."""


@dataclass(frozen=True, kw_only=True)
class Shapes:
    """The primitives, numbered in the order spheres, cylinders, boxes, water."""

    sphere_centre: Tensor
    """S x 3."""
    sphere_radius: Tensor
    """S."""
    cylinder_base: Tensor
    """C x 3: the centre of the lower cap; the axis is vertical."""
    cylinder_radius: Tensor
    """C."""
    cylinder_height: Tensor
    """C."""
    box_centre: Tensor
    """B x 3."""
    box_half: Tensor
    """B x 3, half the edges."""
    box_yaw: Tensor
    """B, radians about the vertical axis."""
    water_level: Tensor
    """The height of the plane of water, a scalar."""

    @cached_property
    def bounds(self) -> Tensor:
        """Bounding spheres of all objects but the water, centre and radius: (S + C + B) x 4."""
        half = self.cylinder_height / 2
        up = half.new_tensor([0.0, 1.0, 0.0])
        centres = torch.cat((self.sphere_centre, self.cylinder_base + half[:, None] * up, self.box_centre))
        around = torch.hypot(self.cylinder_radius, half)
        radii = torch.cat((self.sphere_radius, around, self.box_half.norm(dim=1)))
        return torch.cat((centres, radii[:, None]), dim=1)

    def to(self, device: torch.device | str) -> Shapes:
        """Return the same shapes on `device`."""
        return Shapes(**{field.name: getattr(self, field.name).to(device) for field in fields(self)})

    @property
    def offsets(self) -> tuple[int, int, int]:
        """The numbers of the first cylinder, the first box and the water."""
        cylinders = len(self.sphere_radius)
        boxes = cylinders + len(self.cylinder_radius)
        return cylinders, boxes, boxes + len(self.box_yaw)


@dataclass(frozen=True, kw_only=True)
class Hit:
    """The nearest surface that each ray hits."""

    distance: Tensor
    """N, metres; infinite for rays that go to the sky."""
    number: Tensor
    """N: the number of the object in `Shapes`; meaningless for the sky."""

    @property
    def sky(self) -> Tensor:
        return self.distance.isinf()


def trace(shapes: Shapes, origin: Tensor, direction: Tensor, *, solid: Tensor | None = None) -> Hit:
    """Return the nearest hit of each ray. `solid` is a bool per object; rays pass through objects where it is False.

    Trace rays together that start close to each other and run in similar directions: objects that none of them can hit
    are left out by one test of the whole bundle.
    """
    nearest = origin.new_full(origin.shape[:1], torch.inf)
    number = torch.zeros_like(nearest, dtype=torch.long)
    if not len(origin):
        return Hit(distance=nearest, number=number)
    wanted = _in_reach(shapes, origin, direction)
    if solid is not None:
        wanted &= solid
    cylinders, boxes, water = shapes.offsets
    ends = (0, cylinders, boxes, water, water + 1)
    for kind, first, end in zip((_spheres, _cylinders, _boxes, _water), ends[:-1], ends[1:], strict=True):
        which = wanted[first:end].nonzero().squeeze(1)
        if len(which):
            distance, place = kind(shapes, which, origin, direction).min(dim=1)
            closer = distance < nearest
            nearest = torch.where(closer, distance, nearest)
            number = torch.where(closer, which[place] + first, number)
    return Hit(distance=nearest, number=number)


def _in_reach(shapes: Shapes, origin: Tensor, direction: Tensor) -> Tensor:
    """Return for each object whether any ray might hit it: a cone around the rays against its bounding sphere.

    The origins have a bounding sphere too. A ray from anywhere in it can hit the object's sphere only if the parallel
    ray from its middle comes closer than the sum of both radii.
    """
    middle = (origin.amin(dim=0) + origin.amax(dim=0)) / 2
    axis = torch.nn.functional.normalize(direction.mean(dim=0), dim=0)
    spread = (direction @ axis).min().clamp(-1.0, 1.0).acos()
    towards = shapes.bounds[:, :3] - middle
    distance = towards.norm(dim=1)
    reach = shapes.bounds[:, 3] + (origin - middle).norm(dim=1).max()
    angle = ((towards @ axis) / distance).clamp(-1.0, 1.0).acos()
    near = angle <= spread + (reach / distance).clamp_max(1.0).asin() + 2e-3
    return torch.cat((near | (distance <= reach), near.new_ones(1)))


def to_box(shapes: Shapes, number: Tensor, vector: Tensor) -> Tensor:
    """Return vectors, N x 3, in the axes of the boxes with these numbers; for other objects they are unchanged."""
    _, first, water = shapes.offsets
    box = (number >= first) & (number < water)
    yaw = torch.where(box, shapes.box_yaw[(number - first).clamp(0, water - first - 1)], 0.0)
    return _turn(vector, yaw)


def centre_of(shapes: Shapes, number: Tensor) -> Tensor:
    """Return the points, N x 3, to which the textures of these objects are fixed."""
    centres = torch.cat(
        (shapes.sphere_centre, shapes.cylinder_base, shapes.box_centre, shapes.box_centre.new_zeros(1, 3))
    )
    return centres[number]


def normal_at(shapes: Shapes, number: Tensor, point: Tensor) -> Tensor:
    """Return the outward unit normals, N x 3, at points on the surfaces of the objects with these numbers."""
    cylinders, boxes, water = shapes.offsets
    offset = point - centre_of(shapes, number)
    up = torch.tensor([0.0, 1.0, 0.0], device=point.device)
    normal = up.expand_as(point).clone()

    sphere = number < cylinders
    normal[sphere] = offset[sphere]

    side = (number >= cylinders) & (number < boxes)
    height = shapes.cylinder_height[(number - cylinders).clamp(0, boxes - cylinders - 1)]
    side &= offset[:, 1] < height - NEAR  # the rest is the cap, whose normal points up
    normal[side] = offset[side] * torch.tensor([1.0, 0.0, 1.0], device=point.device)

    box = (number >= boxes) & (number < water)
    which = number[box] - boxes
    local = _turn(offset[box], shapes.box_yaw[which]) / shapes.box_half[which]
    face = torch.nn.functional.one_hot(local.abs().argmax(dim=1), 3) * local.sign()
    normal[box] = _turn(face, -shapes.box_yaw[which])
    return torch.nn.functional.normalize(normal, dim=1)


def _turn(vector: Tensor, yaw: Tensor) -> Tensor:
    cos, sin = yaw.cos(), yaw.sin()
    x, y, z = vector.unbind(-1)
    return torch.stack((cos * x - sin * z, y, sin * x + cos * z), dim=-1)


def _nearest_root(middle: Tensor, half: Tensor, real: Tensor) -> Tensor:
    """Return the smaller of middle - half and middle + half that is in front of the origin; infinite if neither is."""
    first, second = middle - half, middle + half
    root = torch.where(first > NEAR, first, second)
    return torch.where(real & (root > NEAR), root, torch.inf)


def _offsets(points: Tensor, origin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return x, y and z from N origins to K points, N x K each; three tensors are much faster than N x K x 3."""
    x, y, z = (points[:, axis] - origin[:, axis, None] for axis in range(3))
    return x, y, z


def _spheres(shapes: Shapes, which: Tensor, origin: Tensor, direction: Tensor) -> Tensor:
    x, y, z = _offsets(shapes.sphere_centre[which], origin)
    dx, dy, dz = direction.split(1, dim=1)
    middle = x * dx + y * dy + z * dz
    # Squared distance from the centre to the ray. Subtracting before squaring keeps distant spheres precise.
    miss = (x - middle * dx).square() + (y - middle * dy).square() + (z - middle * dz).square()
    square = shapes.sphere_radius[which].square() - miss
    return _nearest_root(middle, square.clamp_min(0.0).sqrt(), square > 0.0)


def _cylinders(shapes: Shapes, which: Tensor, origin: Tensor, direction: Tensor) -> Tensor:
    x, y, z = _offsets(shapes.cylinder_base[which], origin)
    dx, dy, dz = direction.split(1, dim=1)
    radius, tall = shapes.cylinder_radius[which].square(), shapes.cylinder_height[which]
    length = (dx.square() + dz.square()).clamp_min(1e-12)
    middle = (x * dx + z * dz) / length
    square = (radius - (x - middle * dx).square() - (z - middle * dz).square()) / length
    side = _nearest_root(middle, square.clamp_min(0.0).sqrt(), square > 0.0)
    height = side * dy - y
    side = torch.where((height >= 0.0) & (height <= tall), side, torch.inf)
    cap = (y + tall) / dy
    reach = (x - cap * dx).square() + (z - cap * dz).square()
    return torch.minimum(side, torch.where((reach < radius) & (cap > NEAR), cap, torch.inf))


def _boxes(shapes: Shapes, which: Tensor, origin: Tensor, direction: Tensor) -> Tensor:
    x, y, z = _offsets(shapes.box_centre[which], origin)
    dx, dy, dz = direction.split(1, dim=1)
    cos, sin = shapes.box_yaw[which].cos(), shapes.box_yaw[which].sin()
    offsets = (cos * x - sin * z, y, sin * x + cos * z)
    steps = (cos * dx - sin * dz, dy, sin * dx + cos * dz)
    enter, leave = torch.full_like(x, -torch.inf), torch.full_like(x, torch.inf)
    for offset, step, half in zip(offsets, steps, shapes.box_half[which].unbind(1), strict=True):
        inverse = 1.0 / torch.where(step.abs() < 1e-9, 1e-9, step)
        middle, extent = offset * inverse, (half * inverse).abs()
        enter, leave = torch.maximum(enter, middle - extent), torch.minimum(leave, middle + extent)
    return torch.where((enter < leave) & (enter > NEAR), enter, torch.inf)


def _water(shapes: Shapes, which: Tensor, origin: Tensor, direction: Tensor) -> Tensor:
    distance = (shapes.water_level - origin[:, 1:2]) / direction[:, 1:2]
    return torch.where(distance > NEAR, distance, torch.inf)
