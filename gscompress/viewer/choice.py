"""What a user can choose, and what the panel says in return."""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape

from gscompress.field import Field
from gscompress.viewer.exhibit import Exhibit
from gscompress.viewer.levels import Levels

BROWSER, SERVER = "Browser: fluid", "Server: exact"
FILE, REFERENCE, SPLIT, DIFFERENCE = "File", "Reference", "File | Reference", "Difference x4"


@dataclass(frozen=True, slots=True)
class Choice:
    """What to show: drawn by whom, which level of the file, which of the files, and where the split is (0 to 1)."""

    mode: str
    level: int
    what: str
    split: float

    @property
    def exact(self) -> bool:
        return self.mode == SERVER

    def single(self, exhibit: Exhibit) -> tuple[Levels, int]:
        """The file, and which of its levels, that the figures are about and that a browser draws."""
        if self.what == REFERENCE and exhibit.reference is not None:
            return exhibit.reference, exhibit.reference.finest
        return exhibit.levels, self.level


@dataclass(frozen=True, slots=True)
class Figures:
    """Of the current picture: seconds it took, its size in pixels, PSNR in dB against the reference; None: unknown."""

    seconds: float | None = None
    size: tuple[int, int] | None = None
    psnr: float | None = None


def figures_html(exhibit: Exhibit, choice: Choice, figures: Figures) -> str:
    """The statistics as a small table; file names are escaped. Raises UnreadableError like ``Levels.scene``."""
    shown, level = choice.single(exhibit)
    scene, size, whole = shown.scene(level), shown.sizes[level], shown.sizes[-1]
    rows = (
        _of_field(scene, size)
        if isinstance(scene, Field)
        else [
            ("Gaussians", f"{len(scene):,}" + (f" of {shown.gaussians:,}" if shown.gaussians != len(scene) else "")),
            ("On disk", f"{size:,} bytes" + (f" of {whole:,}" if size < whole else "")),
            ("Bits per Gaussian", f"{8 * size / max(shown.gaussians, 1):.1f}"),
            ("SH degree", f"{scene.splats.sh_degree}" + ("" if choice.exact else " (drawn: 0)")),
        ]
    )
    if shown.finest:
        rows.append(("Level", f"{level} (finest: {shown.finest})"))
    if figures.seconds is not None and figures.size is not None:
        rows.append(("Speed", f"{1 / max(figures.seconds, 1e-3):.0f} fps ({1000 * figures.seconds:.0f} ms)"))
        rows.append(("Picture", f"{figures.size[0]}x{figures.size[1]}, {exhibit.renderer.name}"))
    else:
        rows.append(("Speed", "settings: WebGL Stats"))
    if figures.psnr is not None:
        rows.append(("PSNR, this view", f"{figures.psnr:.2f} dB" if math.isfinite(figures.psnr) else "identical"))
    title = escape(exhibit.levels.name)
    if exhibit.reference is not None:
        title += f' <span style="opacity:0.6">against</span> {escape(exhibit.reference.name)}'
    cells = "".join(
        f'<tr><td style="opacity:0.6;padding-right:1em">{name}</td><td>{value}</td></tr>' for name, value in rows
    )
    return (
        f'<div style="padding:0.25em 0.75em;font-size:0.85em"><b style="overflow-wrap:anywhere">{title}</b>'
        f'<table style="font-variant-numeric:tabular-nums">{cells}</table></div>'
    )


def _of_field(field: Field, size: int) -> list[tuple[str, str]]:
    return [
        ("Field", field.spec.kind),
        ("Weights", f"{field.weights:,}"),
        ("On disk", f"{size:,} bytes"),
        ("Bits per weight", f"{8 * size / max(field.weights, 1):.2f}"),
    ]
