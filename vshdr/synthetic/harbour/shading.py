"""How much light comes along a ray: from surfaces lit by sun, sky and lamps, and from one reflection in glossy ones.

Where waves, puddles, sun and lamps are finer than a pixel, they are blurred by a formula, so that few rays are enough.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from vshdr.synthetic.harbour.patterns import PATTERNS, fbm
from vshdr.synthetic.harbour.raycast import Hit, centre_of, normal_at, to_box, trace
from vshdr.synthetic.harbour.sky import sky
from vshdr.synthetic.harbour.world import SUN_RADIANCE, SUN_RADIUS, World


def radiance(world: World, origin: Tensor, direction: Tensor, time: float, pixel: float) -> Tensor:
    """Return the light, N x 3, along rays, N x 3 each for `origin` and unit `direction`, with one reflection.

    `time` is in seconds, `pixel` is the angle in radians between the rays of neighbouring pixels.
    """
    hit = trace(world.shapes, origin, direction)
    distance = torch.where(hit.sky, 0.0, hit.distance)
    point = origin + distance[:, None] * direction
    colour = _scattered(world, hit, point, direction)
    disc = hit.sky & (direction @ world.sun > math.cos(SUN_RADIUS))
    colour = torch.where(disc[:, None], direction.new_tensor(SUN_RADIANCE), colour)

    glossy = (~hit.sky & (world.mirror[hit.number] > 0)).nonzero().squeeze(1)
    if len(glossy):
        number, point, direction = hit.number[glossy], point[glossy], direction[glossy]
        normal, mirror, rough = _gloss(world, number, point, direction, distance[glossy], time, pixel)
        facing = (-direction * normal).sum(1).clamp(0.02, 1.0)
        # Schlick's approximation: reflection rises towards grazing angles, less so on rough surfaces, whose slopes
        # hide each other.
        share = mirror + (torch.exp(-12 * rough) - mirror).clamp_min(0.0) * (1 - facing).pow(5)
        away = functional.normalize(direction + 2 * facing[:, None] * normal, dim=1)
        mirrored = _reflected(world, point, away, normal, rough)
        colour[glossy] = torch.lerp(colour[glossy], mirrored, share[:, None])
    return _hazy(world, colour, hit)


def _scattered(world: World, hit: Hit, point: Tensor, direction: Tensor) -> Tensor:
    """Return the light of the sky, or what the surface that was hit scatters and emits: N x 3."""
    colour = torch.empty_like(direction)
    colour[hit.sky] = sky(world, direction[hit.sky])
    solid = (~hit.sky).nonzero().squeeze(1)
    number, point = hit.number[solid], point[solid]
    normal = normal_at(world.shapes, number, point)
    albedo, emission = _paint(world, number, point, normal)
    colour[solid] = albedo * _light_on(world, point, normal) + emission
    return colour


def _paint(world: World, number: Tensor, point: Tensor, normal: Tensor) -> tuple[Tensor, Tensor]:
    """Return albedo and emission, N x 3 each, of surface points, patterns included."""
    local = to_box(world.shapes, number, point - centre_of(world.shapes, number))
    turned = to_box(world.shapes, number, normal)
    albedo, emission = world.albedo[number], world.emission[number]
    kind = world.pattern[number]
    for index, pattern in enumerate(PATTERNS.values()):
        mine = (kind == index).nonzero().squeeze(1)
        if len(mine):
            paint, glow = pattern(local[mine], turned[mine], albedo[mine], world.lattice)
            albedo[mine], emission[mine] = paint, emission[mine] + glow
    return albedo, emission


def _light_on(world: World, point: Tensor, normal: Tensor) -> Tensor:
    """Return irradiance / pi, N x 3, which a white matt surface would scatter: of sun (with shadow), sky and lamps."""
    shapes = world.shapes
    up, sunward = 0.5 + 0.5 * normal[:, 1:2], 0.5 + 0.5 * (normal @ world.sun)[:, None]
    sky = up * point.new_tensor([0.055, 0.07, 0.125]) + sunward * point.new_tensor([0.11, 0.062, 0.042])
    # Ambient occlusion by spheres: the share of the hemisphere that each one hides.
    towards = shapes.sphere_centre - point[:, None]
    distance = towards.norm(dim=2).clamp_min(1e-3)
    cosine = (towards * normal[:, None]).sum(2) / distance
    hidden = (cosine.clamp_min(0.0) * (shapes.sphere_radius / distance).square()).clamp_max(1.0)
    light = sky * (1 - hidden).prod(dim=1, keepdim=True)

    slope = (normal @ world.sun).clamp_min(0.0)
    lit = (slope > 0).nonzero().squeeze(1)
    opaque = world.emission.sum(dim=1) == 0
    start = point[lit] + 2e-3 * normal[lit]
    free = trace(shapes, start, world.sun.expand_as(start), solid=opaque).sky
    disc = math.sin(SUN_RADIUS) ** 2  # irradiance / pi of a disc of radiance 1
    light[lit] += (slope[lit] * free * disc)[:, None] * point.new_tensor(SUN_RADIANCE)

    lamps = world.lamps
    square = (shapes.sphere_radius[lamps] / distance[:, lamps]).square().clamp_max(1.0)
    return light + (square * cosine[:, lamps].clamp_min(0.0)) @ world.emission[lamps]


def _gloss(
    world: World, number: Tensor, point: Tensor, direction: Tensor, distance: Tensor, time: float, pixel: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the normals, N x 3, mirrored shares, N, and roughness, N, of glossy points: waves on water, wet stone."""
    normal = normal_at(world.shapes, number, point)
    mirror, rough = world.mirror[number].clone(), world.rough[number].clone()
    water = (number == world.shapes.offsets[2]).nonzero().squeeze(1)
    if len(water):
        wave, slope, phase = world.waves[:, :2], world.waves[:, 2], world.waves[:, 3]
        speed = (9.81 * wave.norm(dim=1)).sqrt()  # angular frequency of waves in deep water: sqrt(g k)
        swing = point[water][:, ::2] @ wave.T + phase - speed * time
        # Waves finer than a pixel's footprint cannot be drawn without flicker: their slopes become roughness.
        footprint = pixel * distance[water] / direction[water, 1].abs().clamp_min(1e-4)
        kept = torch.exp(-(footprint[:, None] * wave.norm(dim=1)).square() / 4)
        tilt = (kept * slope * swing.cos()) @ functional.normalize(wave, dim=1)
        upward = torch.stack((-tilt[:, 0], torch.ones_like(tilt[:, 0]), -tilt[:, 1]), dim=1)
        normal[water] = functional.normalize(upward, dim=1)
        lost = ((1 - kept.square()) * slope.square()).sum(dim=1) / 4  # per axis
        rough[water] = (rough[water].square() + lost).sqrt()
    stone = (world.pattern[number] == list(PATTERNS).index("tiles")).nonzero().squeeze(1)
    if len(stone):
        x, z = point[stone, 0], point[stone, 2]
        wet = ((fbm(world.lattice, 0.55 * x + 70, 0.8 * z + 20, 5) - 0.44) * 9).clamp(0.0, 1.0)
        wet = wet * (normal[stone, 1] > 0.5)
        mirror[stone], rough[stone] = 0.01 + 0.03 * wet, 0.15 - 0.138 * wet
    return normal, mirror, rough


def _reflected(world: World, point: Tensor, direction: Tensor, normal: Tensor, rough: Tensor) -> Tensor:
    """Return the light, N x 3, that a glossy surface mirrors. Roughness blurs lamps and the sun, but nothing else."""
    shapes, lamps = world.shapes, world.lamps
    hit = trace(shapes, point + 2e-3 * normal, direction, solid=world.emission.sum(dim=1) == 0)
    met = point + torch.where(hit.sky, 0.0, hit.distance)[:, None] * direction
    colour = _scattered(world, hit, met, direction)
    towards = shapes.sphere_centre[lamps] - point[:, None]
    distance = towards.norm(dim=2)
    before = distance < hit.distance[:, None]
    radius = shapes.sphere_radius[lamps] / distance
    share = _lobe(direction, normal, rough, towards / distance[..., None], radius) * before
    colour = colour + share @ world.emission[lamps]
    towards = world.sun.expand(len(direction), 1, 3)
    sun = _lobe(direction, normal, rough, towards, rough.new_full((1, 1), SUN_RADIUS))
    return colour + sun * hit.sky[:, None] * point.new_tensor(SUN_RADIANCE)


def _lobe(direction: Tensor, normal: Tensor, rough: Tensor, towards: Tensor, radius: Tensor) -> Tensor:
    """Return the share, N x L, of the radiance of discs that is seen in a rough mirror.

    `direction` is that of the mirrored rays, `towards` and `radius` (radians) are those of L discs. Discs and slopes
    are Gaussians, convolved with each other. A slope s turns the mirrored ray by 2 s up or down but only by
    2 s cos(incidence) sideways, which is why the sun's reflection on water is long and narrow.
    """
    sideways = functional.normalize(torch.linalg.cross(normal, direction), dim=1)
    lengthways = torch.linalg.cross(direction, sideways)
    error = towards - direction[:, None]
    across, along = (error * sideways[:, None]).sum(2), (error * lengthways[:, None]).sum(2)
    cosine = (direction * normal).sum(1, keepdim=True)
    disc, slope = radius.square() / 4, (2 * rough[:, None]).square()
    width, length = disc + slope * cosine.square(), disc + slope
    same_side = (towards * direction[:, None]).sum(2) > 0
    spread = torch.exp(-across.square() / (2 * width) - along.square() / (2 * length))
    return same_side * disc / (width * length).sqrt() * spread


def _hazy(world: World, colour: Tensor, hit: Hit) -> Tensor:
    """Return `colour` with haze, which glows like the horizon, over distant surfaces; not over the sky."""
    clear = torch.where(hit.sky, 1.0, torch.exp(-hit.distance / 420.0))[:, None]
    return colour * clear + (1 - clear) * colour.new_tensor([0.26, 0.14, 0.12])
