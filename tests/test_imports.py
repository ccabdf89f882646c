"""The one-way street between the rooms, read from the imports in the sources."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("theory", "numerics", "proofs_check", "figures", "stablessm", "tests")
MAY_IMPORT = {
    "theory": {"theory"},
    "numerics": {"numerics", "theory"},
    "proofs_check": {"proofs_check", "theory", "numerics"},
    "figures": {"figures", "theory", "numerics", "proofs_check"},
    "stablessm": {"stablessm", "theory", "numerics", "proofs_check", "figures"},
}
SHARED_WITH_NUMERICS = {"theory.formula", "theory.notation"}
LIGHT = {"__future__", "functools", "importlib", "typing", "collections", "proofs_check"}
"""What an __init__ may import."""


def imported_modules(path: str, source: str) -> set[str]:
    """Every module that a source imports, at any depth; `from a import b` counts as a.b."""
    package = Path(path).parent.parts
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module) if part)
            found |= {f"{module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) == "import_module":
            first = node.args[0]
            if isinstance(first, ast.Constant):
                found.add(str(first.value))
            elif isinstance(first, ast.JoinedStr) and isinstance(first.values[0], ast.Constant):
                found.add(str(first.values[0].value).rstrip("."))
    return found


def violations(path: str, source: str) -> list[str]:
    """What is wrong with the imports of the file at `path` (relative to the repository)."""
    room = Path(path).parts[0].removesuffix(".py")
    problems = []
    for module in sorted(imported_modules(path, source)):
        top = module.split(".")[0]
        if top in ROOMS and top not in MAY_IMPORT[room]:
            problems.append(f"{path}: {room} may not import {module}")
        if room == "numerics" and top == "theory" and not _is_shared(module):
            problems.append(f"{path}: numerics may not borrow from {module}")
        if top == "flint" and path != "numerics/enclosure.py":
            problems.append(f"{path}: flint belongs into numerics/enclosure.py alone")
        if top == "torch" and room != "numerics":
            problems.append(f"{path}: torch belongs into numerics alone")
        if Path(path).name == "__init__.py" and top not in LIGHT:
            problems.append(f"{path}: an __init__ may not import {module}")
        if room == "theory" and top in {"numpy", "scipy", "mpmath", "matplotlib", "z3"}:
            problems.append(f"{path}: theory is exact, it may not import {module}")
    return problems


def _is_shared(module: str) -> bool:
    return any(module == shared or module.startswith(f"{shared}.") for shared in SHARED_WITH_NUMERICS)


def sources() -> list[str]:
    """Every Python file of the rooms and the door."""
    rooms = [path for room in ROOMS[:4] for path in (ROOT / room).rglob("*.py")]
    return sorted(path.relative_to(ROOT).as_posix() for path in (*rooms, ROOT / "stablessm.py"))


@pytest.mark.parametrize("path", sources())
def test_imports_run_one_way(path: str) -> None:
    assert violations(path, (ROOT / path).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("theory/x.py", "import numerics.norms"),
        ("theory/x.py", "def f():\n    from proofs_check import claim"),
        ("theory/x.py", "import numpy as np"),
        ("theory/x.py", "import torch"),
        ("numerics/x.py", "from theory.stability import modulus"),
        ("numerics/x.py", "from theory import stability"),
        ("numerics/x.py", "import theory"),
        ("numerics/x.py", "from ..theory import stability"),
        ("numerics/x.py", "from proofs_check.claim import Claim"),
        ("numerics/x.py", "import flint"),
        ("numerics/x.py", "from flint import arb"),
        ("proofs_check/x.py", "import figures.style"),
        ("proofs_check/x.py", "import stablessm"),
        ("proofs_check/x.py", "import torch.nn"),
        ("proofs_check/claims/x.py", "from flint import arb"),
        ("proofs_check/claims/x.py", "import importlib\nimportlib.import_module('figures.style')"),
        ("figures/x.py", "from stablessm import main"),
        ("stablessm.py", "import tests.toy_claims"),
        ("numerics/__init__.py", "import numpy"),
        ("theory/__init__.py", "from theory.stability import modulus"),
    ],
)
def test_a_wrong_import_is_found(path: str, source: str) -> None:
    assert violations(path, source)


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("theory/x.py", "import sympy as sp\nfrom theory.notation import w"),
        ("numerics/x.py", "from theory.formula import parse\nfrom theory.notation import w\nimport torch"),
        ("numerics/x.py", "from numerics import enclosure\nfrom theory import formula"),
        ("numerics/enclosure.py", "from flint import arb"),
        ("proofs_check/x.py", "from theory import stability\nfrom numerics.norms import l1_norm"),
        ("figures/x.py", "import theory.stability, numerics.norms, proofs_check.decide"),
        ("stablessm.py", "def f():\n    import figures.style"),
        ("proofs_check/claims/__init__.py", "import importlib\nfrom proofs_check.claim import Claim"),
    ],
)
def test_a_right_import_passes(path: str, source: str) -> None:
    assert violations(path, source) == []


def modules_after(code: str) -> set[str]:
    """The top-level modules that a fresh interpreter has loaded after `code`."""
    program = f"{code}\nimport json, sys\nprint(json.dumps(sorted({{n.split('.')[0] for n in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_help_loads_nothing_heavy() -> None:
    loaded = modules_after("import stablessm\nassert stablessm.main(['--help']) == 0")
    assert not loaded & {"sympy", "torch", "numpy", "scipy", "matplotlib", "flint", "z3", "mpmath"}


def test_limit_loads_torch_for_fits_alone() -> None:
    command = "['limit', '--target', 'polynomial:p=2', '--m', '1']"
    assert "torch" not in modules_after(f"import stablessm\nassert stablessm.main({command}) == 0")


def test_reparam_never_loads_torch() -> None:
    loaded = modules_after("import stablessm\nassert stablessm.main(['reparam', '-exp(w)', '--beta', '0.1']) == 0")
    assert "sympy" in loaded
    assert not loaded & {"torch", "matplotlib"}


def test_figures_are_listed_and_drawn_again_without_torch() -> None:
    loaded = modules_after(
        "import stablessm\nassert stablessm.main(['figures', '--list']) == 0\n"
        "from figures.figure import KINDS, figure_kind\nfound = [figure_kind(name) for name in KINDS]"
    )
    assert "matplotlib" in loaded
    assert not loaded & {"torch", "scipy"}


def test_demos_are_listed_without_loading_anything_heavy() -> None:
    loaded = modules_after("import stablessm\nassert stablessm.main(['demo', '--list']) == 0")
    assert not loaded & {"sympy", "torch", "scipy", "matplotlib", "marimo"}
