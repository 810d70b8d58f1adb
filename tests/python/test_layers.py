"""Includes run down the table of docs/architecture.md only, and the models stay pure C."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# folder -> the model folders that it may include, beside itself
BELOW = {
    "port": set(),
    "irq": {"port"},
    "device": {"port", "irq"},
    "virt": {"port", "irq"},
    "guest": {"port"},
    "cost": {"port"},
    "hypervisor": {"port", "irq", "device", "virt", "guest", "cost"},
}
PURE_C = {"assert.h", "limits.h", "stdalign.h", "stdbool.h", "stddef.h", "stdint.h", "string.h"}
SYSTEMC_HOST = ("systemc", "tlm", "boost/")

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)
SUFFIXES = {".c", ".h", ".def", ".cpp"}


def sources(folder):
    return sorted(p for p in (ROOT / folder).rglob("*") if p.suffix in SUFFIXES)


def includes(path):
    """(whether in angle brackets, name) of each include."""
    return [(bracket == "<", name) for bracket, name in INCLUDE.findall(path.read_text())]


def named(path):
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", sources("models"), ids=named)
def test_a_model_includes_only_layers_below_it_and_pure_c(path):
    layer = path.relative_to(ROOT / "models").parts[0]
    for system, name in includes(path):
        if system:
            assert name in PURE_C, f"<{name}> is no pure C header"
        elif "/" in name:
            assert name.split("/")[0] in BELOW[layer] | {layer}, f'"{name}" is not below {layer}'
        else:
            assert (path.parent / name).exists(), f'"{name}" is not beside the file'


@pytest.mark.parametrize("path", sources("sim/systemc"), ids=named)
def test_the_systemc_host_knows_the_core_through_its_one_header(path):
    for system, name in includes(path):
        if system:
            is_cpp = "/" not in name and not name.endswith(".h")
            is_posix = name == "fnmatch.h"
            assert is_cpp or is_posix or name.startswith(SYSTEMC_HOST), f"<{name}>"
        else:
            beside = (path.parent / name).exists()
            assert beside or name == "virqsim.h", f'"{name}": only virqsim.h'


@pytest.mark.parametrize("path", [p for p in sources("sim") if "systemc" not in p.parts], ids=named)
def test_the_library_includes_models_and_its_own_headers_only(path):
    for system, name in includes(path):
        if not system and "/" in name:
            assert (ROOT / "models" / name).exists(), f'"{name}" is no model'
        assert not name.startswith(("systemc", "tlm", "Python")), name


def test_every_model_folder_has_its_place_in_the_table():
    folders = {p.relative_to(ROOT / "models").parts[0] for p in sources("models")}
    assert folders <= BELOW.keys()
