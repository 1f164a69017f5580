#!/usr/bin/env python3
"""Checks the plan of the house: which room may import which, and that no modules import each other in circles.

    .venv/bin/python scripts/rooms.py

A room is a folder of the package. It may import only itself and the rooms before it in `ROOMS`. Every import counts:
one within a function still ties its module to the other, and one for type checkers only still sends a reader there.
Only the late imports by name count for nothing, by which `vshdr/__init__.py` and the models' registry offer what is
above them. All that rooms may take from the package itself is its version.
"""

from __future__ import annotations

import ast
import graphlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOMS = (
    "errors",
    "runtime",
    "options",
    "kernels",
    "colour",
    "media",
    "temporal",
    "weights",
    "models",
    "synthetic",
    "camera",
    "expand",
    "metrics",
    "training",
    "plugin",
    "report",
    "inspect",
    "conversion",
    "cluster",
    "cli",
)
"""From the ground up."""

FORBIDDEN = {"training": ("media.write",)}
"""What a room must not import although it lies below: training writes no video."""

ENTRANCES = ("__init__", "__main__")
"""Modules beside the rooms. They lie above all of them."""


@dataclass(frozen=True)
class Import:
    """One module of the package imports another."""

    importer: str
    imported: str
    where: str
    """File and line."""


def find_modules(package: Path) -> dict[str, Path]:
    """Return the modules of a package by their full names, sorted."""
    modules = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        modules[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return modules


def find_imports(package: Path, modules: dict[str, Path]) -> Iterator[Import]:
    """Yield every import of one of the modules by another, wherever in its file it stands."""
    for importer, path in modules.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                targets = {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level:
                targets = {f"{package.name}.<relative>"}
            elif isinstance(node, ast.ImportFrom):
                targets = {_module_of(f"{node.module}.{alias.name}", modules) for alias in node.names}
            else:
                continue
            for target in sorted(targets):
                if target.partition(".")[0] == package.name:
                    yield Import(importer, target, f"{path.relative_to(package.parent)}:{node.lineno}")


def _module_of(name: str, modules: dict[str, Path]) -> str:
    """Return the module that `from module import name` imports: `module.name` where that is one, else `module`."""
    if name in modules or name.endswith(".__version__"):
        return name
    return name.rpartition(".")[0]


def misplaced(package: Path, modules: dict[str, Path]) -> Iterator[str]:
    """Yield a line for each file that lies in no room."""
    for name, path in modules.items():
        room = _room(name)
        if room not in ROOMS and not (path.parent == package and path.stem in ENTRANCES):
            yield f"{path.relative_to(package.parent)}: '{room}' is no room; put it into one, or add a room to ROOMS"


def violations(imports: list[Import]) -> Iterator[str]:
    """Yield a line for each import that the order of rooms does not allow."""
    for found in imports:
        importer, imported = _room(found.importer), _room(found.imported)
        if importer not in ROOMS or imported in (importer, "__version__"):
            continue
        if imported == "<relative>":
            yield f"{found.where}: write the whole name of what is imported"
        elif imported not in ROOMS:
            yield f"{found.where}: a room imports the whole package; name the module that is meant"
        elif ROOMS.index(imported) > ROOMS.index(importer):
            yield f"{found.where}: {found.imported} lies above the room {importer}"
        elif _within(found.imported, FORBIDDEN.get(importer, ())):
            yield f"{found.where}: {found.imported} is not for the room {importer}"


def _room(module: str) -> str:
    """Return the room of a module; an empty word for the package itself."""
    return module.partition(".")[2].partition(".")[0]


def _within(module: str, places: tuple[str, ...]) -> bool:
    inside = module.partition(".")[2]
    return any(inside == place or inside.startswith(place + ".") for place in places)


def circles(imports: list[Import]) -> Iterator[str]:
    """Yield a line for each circle: modules that import each other, directly or by way of others.

    A circle that was found is cut before the next one is looked for, so circles that share an import may need a
    second run to show.
    """
    graph: dict[str, set[str]] = {}
    for found in imports:
        graph.setdefault(found.importer, set()).add(found.imported)
    while True:
        try:
            graphlib.TopologicalSorter({module: sorted(imported) for module, imported in graph.items()}).prepare()
        except graphlib.CycleError as error:
            circle = error.args[1][::-1]  # each module now imports the next one
            graph[circle[0]].remove(circle[1])
            yield "a circle: " + " -> ".join(circle)
        else:
            return


def complaints(package: Path) -> list[str]:
    """Return a line for everything that is wrong in the package in this folder."""
    modules = find_modules(package)
    imports = list(find_imports(package, modules))
    return [*misplaced(package, modules), *violations(imports), *circles(imports)]


def main() -> int:
    """Print what is wrong with the package beside the scripts, and return the exit status."""
    found = complaints(Path(__file__).resolve().parents[1] / "vshdr")
    print("\n".join(found) or "every import goes down, and none in a circle")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
