"""What stands in the procedural scene: a small harbour at sunset, with its objects, materials, lamps and waves.

All light is linear RGB with BT.709 primaries, 1.0 = SDR white. Lengths are in metres; the top of the quay is at height
0, and the camera looks along +z. Nothing is read from files. A seed changes clouds, hills, skyline, windows, waves and
paint.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, replace

import torch
from torch import Tensor

from vshdr.synthetic.harbour.patterns import PATTERNS, Colour
from vshdr.synthetic.harbour.raycast import Shapes

Point = tuple[float, float, float]
"""x to the right, y up, z along the view, in metres."""

SUN_RADIUS = math.radians(0.7)
"""Angular radius of the sun in radians: more than twice the real one, as a long lens would show it."""
SUN_RADIANCE: Colour = (6000.0, 3900.0, 1900.0)


@dataclass(frozen=True, kw_only=True)
class Material:
    """How a surface reflects and emits light."""

    albedo: Colour
    """Share of light that is scattered, per channel."""
    pattern: str = "plain"
    """A key of `PATTERNS`: the texture."""
    mirror: float = 0.0
    """Share that is mirrored at normal incidence (F0 in Schlick's approximation); 0 for a matt surface."""
    rough: float = 0.02
    """Standard deviation of the slopes of the mirroring surface."""
    emission: Colour = (0.0, 0.0, 0.0)
    """Emitted light. Spheres that emit are lamps: they also light the surfaces around them."""


@dataclass(kw_only=True)
class _Inventory:
    """Collects objects by kind, in the order in which `Shapes` numbers them."""

    spheres: list[tuple[Point, float, Material]] = field(default_factory=list)
    cylinders: list[tuple[Point, float, float, Material]] = field(default_factory=list)
    boxes: list[tuple[Point, Point, float, Material]] = field(default_factory=list)

    def sphere(self, centre: Point, radius: float, material: Material) -> None:
        self.spheres.append((centre, radius, material))

    def cylinder(self, base: Point, radius: float, height: float, material: Material) -> None:
        self.cylinders.append((base, radius, height, material))

    def box(self, centre: Point, edges: Point, material: Material, yaw: float = 0.0) -> None:
        """Add a box; `yaw` is in degrees about the vertical axis."""
        self.boxes.append((centre, (edges[0] / 2, edges[1] / 2, edges[2] / 2), math.radians(yaw), material))


@dataclass(frozen=True, kw_only=True)
class World:
    """The scene as tensors. The rows of tables with K rows are objects, numbered as in `shapes`."""

    shapes: Shapes
    albedo: Tensor
    """K x 3."""
    pattern: Tensor
    """K: the index of the pattern in `PATTERNS`."""
    mirror: Tensor
    """K."""
    rough: Tensor
    """K."""
    emission: Tensor
    """K x 3."""
    sun: Tensor
    """Unit vector towards the sun."""
    lattice: Tensor
    """256 x 256 random numbers in [0, 1], the source of all noise; it tiles without a seam."""
    waves: Tensor
    """W x 4: wave vector (x, z) in radians per metre, amplitude of the slope, phase in radians."""

    def to(self, device: torch.device | str) -> World:
        """Return the same world on `device`."""
        return replace(self, **{entry.name: getattr(self, entry.name).to(device) for entry in fields(self)})

    @property
    def lamps(self) -> Tensor:
        """Numbers of the spheres that emit light."""
        return self.emission[: len(self.shapes.sphere_radius)].sum(dim=1).nonzero().squeeze(1)


def build(seed: int = 0) -> World:
    """Return the harbour of a seed, on the CPU. The same seed gives the same harbour on every machine."""
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
        if not 4.0 < x + width / 2 < 34.0:  # keeps the sun's reflection on the water in view
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
    """Return waves (see `World.waves`) of equal slope: long ones run towards the quay, short ones in all directions."""
    count = 20
    length = 7.0 * 0.80 ** torch.arange(count)  # 7 m down to 10 cm
    heading = torch.randn(count, generator=generator) * torch.linspace(0.5, 1.4, count)
    number = 2 * math.pi / length
    slope = torch.full((count,), 0.013)
    phase = torch.rand(count, generator=generator) * 2 * math.pi
    return torch.stack((number * heading.sin(), number * heading.cos(), slope, phase), dim=1)
