"""Who may import whom (the arrows of docs/architecture.md), read from the source; and what loads when."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import gscompress
import gscompress.datasets
import gscompress.kernels
import gscompress.renderers

FOLDERS = [Path(m.__path__[0]) for m in (gscompress, gscompress.datasets, gscompress.kernels, gscompress.renderers)]
NOUNS = {"errors", "events", "frame", "sh", "camera", "scene", "registry", "config", "atomic", "context", "ledger"}
NOUNS |= {"blas", "field", "field_statistics", "hash_levels"}
CORE = NOUNS | {"recipe"}
# Unit (folder or top-level module) → what it may import of gscompress besides itself.
ALLOWED: dict[str, set[str]] = {
    **{leaf: set(NOUNS) for leaf in ("transforms", "quant", "entropy", "container", "formats", "datasets", "metrics")},
    "tune": set(NOUNS),
    "recipe": NOUNS | {"codecs", "transforms"},
    "codecs": CORE | {"transforms", "quant", "entropy", "container", "formats", "recipe", "tune", "viewpoints"},
    "rate": CORE | {"codecs", "container", "metrics"},
    "api": CORE | {"codecs", "container", "formats", "rate", "transforms"},
    "sequence": NOUNS | {"entropy", "formats"},
    "stream": CORE | {"codecs", "container", "entropy", "formats", "quant", "sequence", "transforms", "tune"},
    "kernels": set(NOUNS),
    "renderers": NOUNS | {"kernels"},
    "field_views": set(NOUNS),
    "viewpoints": NOUNS | {"freespace", "upright"},
}
JOINS = {"cli", "viewer", "plugins"}
HEAVY = {"numba", "torch", "triton", "gsplat", "viser", "PIL", "zstandard", "rich", "typer", "scipy", "matplotlib"}


def run_time(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those under ``if TYPE_CHECKING``."""
    yield tree
    for child in ast.iter_child_nodes(tree):
        if not (isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"):
            yield from run_time(child)


def imports(folder: Path) -> set[tuple[str, str]]:
    """(unit, imported unit) over all modules of one installed package folder."""
    found = set()
    package = "" if folder == FOLDERS[0] else folder.name
    for path in folder.rglob("*.py"):
        parts = path.relative_to(folder).with_suffix("").parts
        if package == "" and parts[0] in {f.name for f in FOLDERS[1:]}:
            continue
        unit = package or parts[0]
        for node in run_time(ast.parse(path.read_text("utf-8"))):
            names = []
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            found |= {(unit, name.split(".")[1]) for name in names if name.startswith("gscompress.")}
    return {(unit, target) for unit, target in found if target not in (unit, "__version__")}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_arrows_point_one_way(folder: Path) -> None:
    wrong = []
    for unit, target in sorted(imports(folder)):
        if unit in JOINS or unit == "__init__":
            continue
        if target in JOINS or (unit in ALLOWED and target not in ALLOWED[unit]):
            wrong.append(f"{unit} imports {target}")
    assert not wrong


def test_importing_the_package_loads_numpy_and_nothing_heavier() -> None:
    code = f"import sys, gscompress; print(sorted({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_help_loads_no_number_cruncher() -> None:
    code = (
        "import sys; from gscompress.cli.main import run; run(['--help']);"
        f"print(sorted({(HEAVY - {'typer', 'rich'})!r} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
