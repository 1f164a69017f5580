"""What stands in the procedural scene: a small harbour as the sun goes down, its materials, lamps and sky.

All light is linear RGB with BT.709 primaries, 1.0 = SDR white. Lengths are metres; the quay's top is the
height 0, the camera looks along +z. Nothing here is read from a file: a seed moves clouds, hills, skyline,
windows, waves and paint.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, replace

import torch
from torch import Tensor
from torch.nn.functional import normalize

from vshdr.synthetic.harbour.patterns import PATTERNS, Colour, fbm, mix
from vshdr.synthetic.harbour.raycast import Shapes

Point = tuple[float, float, float]

SUN_RADIUS = math.radians(0.7)
"""Seen from the ground; more than twice the true sun's, as it looks through a long lens."""
SUN_RADIANCE: Colour = (6000.0, 3900.0, 1900.0)


@dataclass(frozen=True, kw_only=True)
class Material:
    """How a surface answers light."""

    albedo: Colour
    """Share of light scattered."""
    pattern: str = "plain"
    """A key of `PATTERNS`: what is painted on."""
    mirror: float = 0.0
    """Share reflected like a mirror at normal incidence (Schlick's F0); 0 for a matt surface."""
    rough: float = 0.02
    """Standard deviation of the mirror's slopes."""
    emission: Colour = (0.0, 0.0, 0.0)
    """Light given off. What gives off light is a lamp: it also lights the matt surfaces around it."""


@dataclass(kw_only=True)
class _Inventory:
    """Collects the objects of each kind, in the order in which `Shapes` numbers them."""

    spheres: list[tuple[Point, float, Material]] = field(default_factory=list)
    cylinders: list[tuple[Point, float, float, Material]] = field(default_factory=list)
    boxes: list[tuple[Point, Point, float, Material]] = field(default_factory=list)

    def sphere(self, centre: Point, radius: float, material: Material) -> None:
        self.spheres.append((centre, radius, material))

    def cylinder(self, base: Point, radius: float, height: float, material: Material) -> None:
        self.cylinders.append((base, radius, height, material))

    def box(self, centre: Point, edges: Point, material: Material, yaw: float = 0.0) -> None:
        """`yaw` in degrees."""
        self.boxes.append((centre, (edges[0] / 2, edges[1] / 2, edges[2] / 2), math.radians(yaw), material))


@dataclass(frozen=True, kw_only=True)
class World:
    """The scene as tensors. Rows of the tables go by an object's number in `shapes`."""

    shapes: Shapes
    albedo: Tensor
    """K x 3."""
    pattern: Tensor
    """K, the place in `PATTERNS`."""
    mirror: Tensor
    """K."""
    rough: Tensor
    """K."""
    emission: Tensor
    """K x 3."""
    sun: Tensor
    """Unit vector towards the sun."""
    lattice: Tensor
    """256 x 256 random numbers in [0, 1] from which noise is made; it repeats without a seam."""
    waves: Tensor
    """W x 4: the wave vector (x, z) in radians per metre, amplitude of the slope, phase."""

    def to(self, device: torch.device | str) -> World:
        return replace(self, **{entry.name: getattr(self, entry.name).to(device) for entry in fields(self)})

    @property
    def lamps(self) -> Tensor:
        """The numbers of the spheres that give off light."""
        return self.emission[: len(self.shapes.sphere_radius)].sum(dim=1).nonzero().squeeze(1)


def build(seed: int = 0) -> World:
    """Return the harbour of this seed, on the CPU. The same seed gives the same harbour everywhere."""
    generator = torch.Generator().manual_seed(seed)
    things = _Inventory()
    _quay(things)
    _lights(things)
    _notice_board(things)
    _goods(things)
    _boats(things)
    _far_shore(things, generator)
    water = Material(albedo=(0.010, 0.022, 0.026), mirror=0.02, rough=0.006)

    materials = [entry[-1] for entry in (*things.spheres, *things.cylinders, *things.boxes)] + [water]
    names = list(PATTERNS)
    shapes = Shapes(
        sphere_centre=torch.tensor([entry[0] for entry in things.spheres]),
        sphere_radius=torch.tensor([entry[1] for entry in things.spheres]),
        cylinder_base=torch.tensor([entry[0] for entry in things.cylinders]),
        cylinder_radius=torch.tensor([entry[1] for entry in things.cylinders]),
        cylinder_height=torch.tensor([entry[2] for entry in things.cylinders]),
        box_centre=torch.tensor([entry[0] for entry in things.boxes]),
        box_half=torch.tensor([entry[1] for entry in things.boxes]),
        box_yaw=torch.tensor([entry[2] for entry in things.boxes]),
        water_level=torch.tensor(-1.3),
    )
    azimuth, elevation = math.radians(9.0), math.radians(8.0)
    return World(
        shapes=shapes,
        albedo=torch.tensor([material.albedo for material in materials]),
        pattern=torch.tensor([names.index(material.pattern) for material in materials]),
        mirror=torch.tensor([material.mirror for material in materials]),
        rough=torch.tensor([material.rough for material in materials]),
        emission=torch.tensor([material.emission for material in materials]),
        sun=torch.tensor(
            [math.sin(azimuth) * math.cos(elevation), math.sin(elevation), math.cos(azimuth) * math.cos(elevation)]
        ),
        lattice=torch.rand(256, 256, generator=generator),
        waves=_waves(generator),
    )


STONE = Material(albedo=(0.30, 0.27, 0.25), pattern="tiles", mirror=0.04, rough=0.05)
IRON = Material(albedo=(0.05, 0.055, 0.06), mirror=0.05, rough=0.08)
WOOD = Material(albedo=(0.42, 0.25, 0.13), pattern="planks")


def _quay(things: _Inventory) -> None:
    things.box((0.0, -2.0, -8.0), (80.0, 4.0, 43.0), STONE)
    for x in (-6.3, -2.1, 2.1, 6.3):
        things.cylinder((x, 0.0, 12.9), 0.16, 0.45, IRON)
        things.cylinder((x, 0.45, 12.9), 0.22, 0.10, IRON)


def _lamp(things: _Inventory, centre: Point, radius: float, emission: Colour) -> None:
    things.sphere(centre, radius, Material(albedo=(0.8, 0.8, 0.8), emission=emission))


def _lights(things: _Inventory) -> None:
    for x, colour in ((-4.6, (150.0, 92.0, 42.0)), (5.1, (150.0, 104.0, 58.0))):
        things.cylinder((x, 0.0, 11.4), 0.06, 4.3, IRON)
        things.cylinder((x, 0.0, 11.4), 0.14, 0.6, IRON)
        _lamp(things, (x, 4.5, 11.4), 0.21, colour)
    things.box((0.25, 4.22, 11.4), (9.7, 0.018, 0.018), IRON)
    bulbs = ((70.0, 44.0, 20.0), (48.0, 0.7, 0.4), (60.0, 17.0, 0.6), (0.6, 34.0, 4.0), (0.9, 5.0, 60.0))
    for index in range(13):
        _lamp(things, (-3.95 + 0.7 * index, 4.12, 11.4), 0.07, bulbs[index % len(bulbs)])
    _lamp(things, (-2.1, 0.68, 12.9), 0.09, (70.0, 0.9, 0.5))
    _lamp(things, (6.3, 0.72, 12.9), 0.10, (0.7, 60.0, 14.0))
    _lamp(things, (2.50, 0.17, 7.55), 0.10, (52.0, 25.0, 6.0))
    things.cylinder((2.50, 0.0, 7.55), 0.13, 0.06, IRON)
    things.cylinder((2.50, 0.28, 7.55), 0.11, 0.04, IRON)


def _notice_board(things: _Inventory) -> None:
    """Paper as white as paper gets, lit by a lamp of its own, and no lamp itself."""
    x, z, yaw = -2.9, 7.4, -24.0
    sin, cos = math.sin(math.radians(yaw)), math.cos(math.radians(yaw))

    def place(across: float, height: float, back: float) -> Point:
        return x + cos * across + sin * back, height, z - sin * across + cos * back

    paper = Material(albedo=(0.88, 0.88, 0.86), pattern="poster")
    things.box(place(0.0, 1.62, 0.0), (1.62, 1.30, 0.05), paper, yaw)
    things.box(place(0.0, 1.62, 0.04), (1.78, 1.46, 0.05), Material(albedo=(0.10, 0.13, 0.12)), yaw)
    for side in (-0.80, 0.80):
        things.cylinder(place(side, 0.0, 0.08), 0.05, 2.45, IRON)
    things.cylinder(place(0.0, 2.2, 0.08), 0.02, 0.66, IRON)
    things.box(place(0.0, 2.85, -0.38), (0.03, 0.03, 0.95), IRON, yaw)
    _lamp(things, place(0.0, 2.76, -0.84), 0.07, (365.0, 341.0, 298.0))


def _goods(things: _Inventory) -> None:
    things.sphere((-0.75, 0.55, 9.2), 0.55, Material(albedo=(0.75, 0.10, 0.06), pattern="chequer"))
    things.sphere((0.62, 0.40, 7.0), 0.40, Material(albedo=(0.02, 0.03, 0.03), mirror=0.72, rough=0.003))
    things.sphere((1.85, 0.33, 8.6), 0.33, Material(albedo=(0.78, 0.42, 0.05), pattern="marble"))
    things.sphere((-1.25, 0.22, 6.9), 0.22, Material(albedo=(0.06, 0.28, 0.50), pattern="marble"))
    things.box((3.55, 0.45, 8.9), (1.25, 0.90, 0.90), WOOD, -18.0)
    things.box((4.75, 0.40, 9.4), (0.95, 0.80, 0.85), WOOD, 12.0)
    things.box((3.85, 1.22, 9.05), (0.85, 0.64, 0.70), WOOD, 8.0)
    things.cylinder((2.75, 0.0, 10.6), 0.36, 1.05, Material(albedo=(0.05, 0.20, 0.34), pattern="hoops"))
    things.cylinder((-5.6, 0.0, 9.3), 0.40, 1.1, Material(albedo=(0.50, 0.11, 0.06), pattern="hoops"))


def _boats(things: _Inventory) -> None:
    mast = Material(albedo=(0.22, 0.18, 0.15))
    boats = (
        (-8.5, 27.0, 16.0, (60.0, 0.8, 0.5), (0.05, 0.12, 0.22)),
        (-2.7, 36.0, -10.0, (0.8, 60.0, 12.0), (0.35, 0.06, 0.05)),
        (14.0, 30.0, -24.0, (90.0, 84.0, 72.0), (0.06, 0.22, 0.18)),
    )
    for x, z, yaw, light, paint in boats:
        things.box((x, -1.1, z), (4.7, 0.6, 1.4), Material(albedo=paint), yaw)
        things.box((x, -0.68, z), (5.5, 0.32, 1.7), Material(albedo=(0.60, 0.58, 0.54)), yaw)
        things.box((x - 0.4, -0.25, z), (2.0, 0.6, 1.2), replace(WOOD, albedo=(0.34, 0.17, 0.09)), yaw)
        things.box((x - 0.5, 0.55, z), (2.6, 0.22, 0.22), Material(albedo=(0.48, 0.44, 0.38)), yaw)
        things.cylinder((x + 0.7, -0.6, z), 0.06, 8.2, mast)
        _lamp(things, (x + 0.7, 7.7, z), 0.10, light)


def _far_shore(things: _Inventory, generator: torch.Generator) -> None:
    plaster = Material(albedo=(0.1, 0.1, 0.1), pattern="windows")
    x = -92.0
    while x < 92.0:
        width, height, away, tint = torch.rand(4, generator=generator).tolist()
        width, height = 6.0 + 8.0 * width, 3.5 + 8.0 * height * height
        if not 4.0 < x + width / 2 < 34.0:  # the sun's way over the water stays open
            warm = (0.34 + 0.2 * tint, 0.27 + 0.1 * tint, 0.24)
            things.box(
                (x + width / 2, height / 2 - 1.3, 118.0 + 16.0 * away),
                (width, height, 9.0),
                replace(plaster, albedo=warm),
            )
        x += width + 0.6
    for x in (-58.0, -43.0, -29.0, -16.0, -4.0, 46.0, 60.0):
        _lamp(things, (x, 2.2, 112.0), 0.32, (48.0, 30.0, 13.0))
    white, red = Material(albedo=(0.75, 0.74, 0.72)), Material(albedo=(0.62, 0.10, 0.08))
    things.box((34.0, -1.0, 92.0), (22.0, 1.6, 5.0), Material(albedo=(0.20, 0.18, 0.17)))
    for step in range(5):
        things.cylinder((28.0, -0.3 + 2.2 * step, 92.0), 1.35 - 0.12 * step, 2.2, red if step % 2 else white)
    things.cylinder((28.0, 10.7, 92.0), 1.2, 0.2, IRON)
    _lamp(things, (28.0, 11.5, 92.0), 0.55, (300.0, 270.0, 215.0))
    things.cylinder((28.0, 12.05, 92.0), 0.8, 0.5, red)


def _waves(generator: torch.Generator) -> Tensor:
    """Long waves run towards the quay, short ones every way; each carries about the same slope."""
    count = 20
    length = 7.0 * 0.80 ** torch.arange(count)  # 7 m down to 10 cm
    heading = torch.randn(count, generator=generator) * torch.linspace(0.5, 1.4, count)
    number = 2 * math.pi / length
    slope = torch.full((count,), 0.013)
    phase = torch.rand(count, generator=generator) * 2 * math.pi
    return torch.stack((number * heading.sin(), number * heading.cos(), slope, phase), dim=1)


def sky(world: World, direction: Tensor) -> Tensor:
    """Return radiance N x 3 of sky, clouds and hills in these directions, all at infinity, without the sun."""
    up = direction[:, 1].clamp_min(0.0)
    towards = (direction @ world.sun).clamp(-1.0, 1.0)
    flat = normalize(direction[:, ::2], dim=1) @ normalize(world.sun[::2], dim=0)
    side = (0.5 + 0.5 * flat).square()
    low = mix((0.13, 0.085, 0.14), (0.74, 0.28, 0.085), side)
    middle = mix((0.05, 0.06, 0.15), (0.27, 0.145, 0.15), side)
    colour = mix(low, middle, (up / 0.22).clamp_max(1.0))
    colour = mix(colour, (0.012, 0.032, 0.105), ((up - 0.12) / 0.55).clamp(0.0, 1.0))
    aureole = 3.2 * torch.exp((towards - 1) * 420) + 0.55 * torch.exp((towards - 1) * 45)
    colour = colour + aureole[:, None] * torch.tensor([1.0, 0.62, 0.26], device=direction.device)

    # Clouds lie on a plane overhead. The same noise a step nearer to the sun tells how much cloud the light
    # came through.
    x, z = direction[:, 0] / (up + 0.12), direction[:, 2] / (up + 0.12)

    def density(dx: float, dz: float) -> Tensor:
        return ((fbm(world.lattice, 0.75 * (x + dx) + 5, 1.25 * (z + dz), 6) - 0.47) * 4.2).clamp(0.0, 1.0)

    cloud = density(0.0, 0.0)
    thick = density(0.16 * float(world.sun[0]), 0.16)
    lit = (1 - 0.85 * thick) * (0.03 + 0.42 * side + 1.8 * torch.exp((towards - 1) * 30))
    cloud_colour = mix((0.035, 0.035, 0.085), (0.27, 0.10, 0.085), (0.15 + 0.85 * side) * (1 - thick)) + lit[
        :, None
    ] * torch.tensor([0.62, 0.30, 0.15], device=direction.device)
    colour = mix(colour, cloud_colour, cloud * (up / 0.09).clamp_max(1.0) * 0.9)

    azimuth = torch.atan2(direction[:, 0], direction[:, 2])
    for height, scale, salt, haze in ((0.080, 5.0, 11.0, 0.75), (0.046, 8.0, 60.0, 0.45)):
        ridge = height * fbm(world.lattice, azimuth * scale + salt, torch.full_like(azimuth, salt), 5)
        hill = mix((0.06, 0.06, 0.10), low * 0.8, torch.full_like(up, haze))
        colour = torch.where((direction[:, 1] < ridge)[:, None], hill, colour)
    return colour
