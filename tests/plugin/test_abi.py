"""The interface between C and Python: `vshdr.h` declares it once, `vshdr/plugin/abi.py` a second time."""

import ctypes
import enum
import re
from pathlib import Path

import pytest

from vshdr.plugin import abi

HEADER = (Path(__file__).parents[2] / "vshdr" / "plugin" / "vshdr.h").read_text()
STRUCTS = {
    "vshdr_item": abi.Item,
    "vshdr_plane": abi.Plane,
    "vshdr_neighbour": abi.Neighbour,
    "vshdr_table": abi.Table,
}
ENUMS = {"vshdr_group": abi.Group, "vshdr_kind": abi.Kind}
SCALARS = {"int32_t": ctypes.c_int32, "int64_t": ctypes.c_int64, "double": ctypes.c_double, "void": None}
ADDRESS = ctypes.c_void_p


def differences(header: str) -> list[str]:
    """Return what the header and `abi` declare differently."""
    text = re.sub(r"/\*.*?\*/", "", header, flags=re.DOTALL)
    found = []
    (number,) = re.findall(r"#define VSHDR_ABI (\d+)", text)
    if int(number) != abi.ABI:
        found.append(f"VSHDR_ABI: {number}")
    for name, members in ENUMS.items():
        if declared_enum(text, name) != {f"VSHDR_{member.name}": member.value for member in members}:
            found.append(f"enum {name}")
    for name, struct in STRUCTS.items():
        fields = [(field, shape(kind)) for field, kind in struct._fields_]
        if declared_fields(text, name) != fields:
            found.append(f"struct {name}")
    return found


def body(text: str, keyword: str, name: str) -> str:
    (found,) = re.findall(rf"{keyword} {name} {{(.*?)}};", text, re.DOTALL)
    return found


def declared_enum(text: str, name: str) -> dict[str, int]:
    """Return an enum of consecutive values without the one that only counts them."""
    words = [word.strip() for word in body(text, "enum", name).split(",") if word.strip()]
    return {word: value for value, word in enumerate(words) if word != f"{name.upper()}S"}


def declared_fields(text: str, name: str) -> list[tuple[str, object]]:
    fields = []
    for declaration in filter(None, (" ".join(part.split()) for part in body(text, "struct", name).split(";"))):
        if function := re.fullmatch(r"(.+)\(\*(\w+)\)\((.*)\)", declaration):
            result, field, arguments = function.groups()
            types = [] if arguments == "void" else [declared_type(one) for one in arguments.split(",")]
            fields.append((field, (declared_type(result + "result"), *types)))
        else:
            single, _, count = declaration.removesuffix("]").partition("[")
            kind = declared_type(single)
            fields.append((re.split(r"\W", single)[-1], (kind, int(count)) if count else kind))
    return fields


def declared_type(declaration: str) -> object:
    """Return the type of a declaration such as `const char *key`, as `shape` writes it."""
    *kind, _ = declaration.replace("const ", "").replace("*", " * ").split()
    match kind:
        case ["struct", struct]:
            return STRUCTS[struct].__name__
        case ["struct", struct, "*"]:
            return f"*{STRUCTS[struct].__name__}"
        case [_, "*"]:
            return ADDRESS
        case [scalar]:
            return SCALARS[scalar]
        case _:
            raise AssertionError(f"a type that this test does not know: {declaration}")


def shape(kind) -> object:
    """Return what a ctypes type says in terms that C shares: pointers by what they point at, text as an address."""
    if kind is None or kind in SCALARS.values():
        return kind
    if hasattr(kind, "_restype_"):
        return (shape(kind._restype_), *map(shape, kind._argtypes_))
    if issubclass(kind, ctypes.Array):
        return (shape(kind._type_), kind._length_)
    if kind.__name__.startswith("LP_"):  # POINTER(Item) is called LP_Item
        return kind.__name__.replace("LP_", "*")
    return kind.__name__ if issubclass(kind, ctypes.Structure) else ADDRESS


def test_c_and_python_declare_the_same_interface():
    assert differences(HEADER) == []


def test_every_type_of_the_interface_is_compared():
    declared = {value for value in vars(abi).values() if isinstance(value, type) and value.__module__ == abi.__name__}
    kinds = {kind for kind in declared if issubclass(kind, (ctypes.Structure, enum.Enum))}
    assert kinds == {*STRUCTS.values(), *ENUMS.values()}


@pytest.mark.parametrize(
    ("old", "new", "differs"),
    [
        ("#define VSHDR_ABI 5", "#define VSHDR_ABI 6", "VSHDR_ABI: 6"),
        ("int32_t number;", "int64_t number;", "struct vshdr_neighbour"),
        ("int32_t number;", "int32_t index;", "struct vshdr_neighbour"),
        ("struct vshdr_plane sdr[3];", "struct vshdr_plane sdr[4];", "struct vshdr_neighbour"),
        ("void *data;", "int64_t stride; void *data;", "struct vshdr_plane"),
        ("int64_t integer;\n    double real;", "double real;\n    int64_t integer;", "struct vshdr_item"),
        ("const char *text;", "int64_t text;", "struct vshdr_item"),
        ("VSHDR_INT, VSHDR_FLOAT", "VSHDR_FLOAT, VSHDR_INT", "enum vshdr_kind"),
        ("    VSHDR_REMOVED,", "    VSHDR_NEW, VSHDR_REMOVED,", "enum vshdr_group"),
        ("VSHDR_MEASURED,", "", "enum vshdr_group"),
        ("(*close)(void)", "(*close)(int32_t now)", "struct vshdr_table"),
        ("int32_t (*check)", "int64_t (*check)", "struct vshdr_table"),
        ("(*destroy)(int64_t id)", "(*destroy)(int32_t id)", "struct vshdr_table"),
        ("smooth)(int64_t expander, int32_t", "smooth)(int32_t expander, int64_t", "struct vshdr_table"),
        ("const struct vshdr_plane *source, const", "const struct vshdr_item *source, const", "struct vshdr_table"),
    ],
)  # fmt: skip
def test_a_change_on_one_side_is_noticed(old, new, differs):
    assert HEADER.count(old) >= 1
    assert differences(HEADER.replace(old, new, 1)) == [differs]
