"""What is in the repository is what gets installed."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

ROOT = Path(__file__).parent.parent
PROJECT = (ROOT / "pyproject.toml").read_text("utf-8")
ELSEWHERE = ("renderers", "kernels", "datasets")  # top-level folders that are installed inside gscompress


def test_every_package_is_listed() -> None:
    listed = set(re.findall(r'"(gscompress[.\w]*)",\n', PROJECT[PROJECT.index("packages = [") :].split("]")[0]))
    folders = {p.parent.relative_to(ROOT) for top in ("gscompress", *ELSEWHERE) for p in (ROOT / top).rglob("*.py")}
    names = {".".join(folder.parts) for folder in folders}
    assert listed == {f"gscompress.{name}" if name.split(".")[0] in ELSEWHERE else name for name in names}


def test_data_files_are_installed() -> None:
    assert files("gscompress.data").joinpath("sushi.sog").is_file()
    assert files("gscompress.data").joinpath("NOTICE.md").is_file()
    assert files("gscompress.container").joinpath("SPEC.md").is_file()
    assert files("gscompress").joinpath("py.typed").is_file()


def test_links_in_the_documentation_lead_somewhere() -> None:
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "gscompress" / "container" / "SPEC.md"]:
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
            assert (page.parent / link).exists(), f"{page.name} links to {link}"
