"""``gscompress compare``: two files on one page, with their differences, a flicker view and where the bytes are."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gscompress.atomic import check_target, staged
from gscompress.cli import console
from gscompress.cli.cameras import choose, parse_colour, parse_pixels
from gscompress.cli.eval import Cameras, decibels
from gscompress.cli.options import Force, Json
from gscompress.cli.render import Background, RendererName, Size
from gscompress.errors import UsageError

if TYPE_CHECKING:
    from gscompress.comparison import Colour, Comparison
    from gscompress.renderers.base import Renderer
    from gscompress.scene import Scene

First = Annotated[Path, typer.Argument(metavar="A", help="A splat file of any known format; differences are from it.")]
Second = Annotated[Path, typer.Argument(metavar="B", help="The splat file to compare with it.")]
Out = Annotated[Path, typer.Option("--out", "-o", metavar="OUT.html", help="The page.")]
COLUMNS = {"sh": ("f_rest_",), "dc": ("f_dc_",), "scale": ("scale_",), "rotation": ("rot_",)} | {
    "position": ("x", "y", "z"),
    "normal": ("nx", "ny", "nz"),
}
SHOWN = 8
"""Views on the page, the worst ones and others spread over the rest."""


def compare(
    first: First,
    second: Second,
    out: Out = Path("compare.html"),
    cameras: Cameras = None,
    size: Size = None,
    renderer: RendererName = "cpu",
    background: Background = "black",
    as_json: Json = False,
    force: Force = False,
) -> None:
    """Show two splat files on one HTML page: pictures that flicker, differences, bytes side by side."""
    from gscompress import comparison, formats
    from gscompress.frame import RDF
    from gscompress.renderers import RENDERERS

    colour, pixels = parse_colour(background), parse_pixels(size)
    if out.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"{out.name}: compare writes a .html page")
    check_target(out, force=force)
    engine = RENDERERS.get(renderer)()
    with console.progress() as log:
        scenes = formats.read(first, log).in_frame(RDF), formats.read(second, log).in_frame(RDF)
        views = choose(scenes[0], cameras or "auto:24", pixels)
        result = comparison.compare(scenes[0], scenes[1], views, engine, background=colour, log=log)
        write_page(out, (first, second), scenes, result, engine, colour, force)
    if as_json:
        sizes = {"a_bytes": console.size_of(first), "b_bytes": console.size_of(second)}
        ledgers = {"a_parts": parts(first, scenes[0]), "b_parts": parts(second, scenes[1])}
        facts = {"a": str(first), "b": str(second), **sizes, **ledgers, "page": str(out)}
        console.emit({**facts, **result.to_json(), "warnings": log.warnings})
        return
    worst = result.worst
    console.say(
        f"{first.name} {console.size_text(console.size_of(first))}, {second.name} "
        f"{console.size_text(console.size_of(second))}: {decibels(result.mean.psnr)} apart, worst view "
        f"{decibels(worst.score.psnr)}; {out} shows it"
    )


def write_page(
    target: Path,
    paths: tuple[Path, Path],
    scenes: tuple[Scene, Scene],
    result: Comparison,
    renderer: Renderer,
    background: Colour,
    force: bool,
) -> None:
    """Render some of the views again and write the page."""
    from gscompress import __version__
    from gscompress.pictures import RAMP

    names = [path.name for path in paths] if paths[0].name != paths[1].name else [str(path) for path in paths]
    data = {
        "names": {"a": names[0], "b": names[1], "d": "difference"},
        "views": list(_views(scenes, result, renderer, background)),
    }
    page = Template(files("gscompress.data").joinpath("compare.html").read_text("utf-8")).substitute(
        version=escape(__version__),
        title=escape(f"{names[0]} and {names[1]}"),
        subtitle=escape(
            f"{len(scenes[0]):,} and {len(scenes[1]):,} Gaussians; {len(result.views)} views of "
            f"{result.views[0].camera.width}x{result.views[0].camera.height} by the {renderer.name} renderer"
        ),
        cards="".join(_cards(paths, result)),
        ledgers="".join(_ledger(*item) for item in zip(names, paths, scenes, ("a", "b"), strict=True)),
        ramp=", ".join(f"rgb({r:.0f} {g:.0f} {b:.0f})" for r, g, b in RAMP),
        data=json.dumps(data).replace("</", "<\\/"),
    )
    with staged(target, force=force) as path:
        path.write_text(page, encoding="utf-8")


def parts(path: Path, scene: Scene) -> dict[str, int]:
    """Bytes by what they are for, as far as the format tells: attributes, columns, pictures, or the file as a whole."""
    from gscompress.container.reader import Reader, ledger

    if path.suffix.lower() == ".gscz":
        return ledger(Reader.open(path), len(scene)).by_attribute()
    if path.is_file() and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            members = {entry.filename: entry.compress_size for entry in archive.infolist()}
        return {**members, "zip structure": console.size_of(path) - sum(members.values())}
    if path.is_dir():
        return {part.name: part.stat().st_size for part in sorted(path.iterdir()) if part.is_file()}
    return (_columns(path) if path.suffix.lower() == ".ply" else {}) or {"file": console.size_of(path)}


def _columns(path: Path) -> dict[str, int]:
    """Of a binary .ply: its columns under the names that our attributes have. Nothing for text and for lists."""
    import numpy as np

    from gscompress.formats.ply_header import read_header

    header = read_header(path)
    columns = [(element.count, column) for element in header.elements for column in element.properties]
    if not header.order or any(column.length for _, column in columns):
        return {}
    sizes: dict[str, int] = {}
    for count, column in columns:
        name = next((kind for kind, prefixes in COLUMNS.items() if column.name.startswith(prefixes)), column.name)
        sizes[name] = sizes.get(name, 0) + count * np.dtype(column.code).itemsize
    return {**sizes, "header": console.size_of(path) - sum(sizes.values())}


def _cards(paths: tuple[Path, Path], result: Comparison) -> Iterator[str]:
    sizes = [console.size_of(path) for path in paths]
    values = [
        (console.size_text(sizes[0]), "A"),
        (console.size_text(sizes[1]), f"B, {sizes[1] / max(sizes[0], 1):.3g} times A"),
        (decibels(result.mean.psnr), "PSNR of B against A, mean of views"),
        (decibels(result.worst.score.psnr), "PSNR, worst view"),
    ]
    if result.mean.ssim is not None:
        values.append((f"{result.mean.ssim:.4f}", "SSIM, mean of views"))
    for value, label in values:
        yield f'<div class="card"><b>{escape(value)}</b><span>{escape(label)}</span></div>'


def _views(
    scenes: tuple[Scene, Scene], result: Comparison, renderer: Renderer, background: Colour
) -> Iterator[Mapping[str, Any]]:
    """The worst views first, then others spread over the rest, all under one scale of differences."""
    from gscompress.comparison import picture
    from gscompress.pictures import data_uri, error_levels, error_map, full_scale

    order = sorted(result.views, key=lambda view: view.score.psnr)
    half = SHOWN // 2
    rest = order[half:]
    chosen = order[:half] + [rest[k * len(rest) // half] for k in range(min(half, len(rest)))]
    top = 0
    for number, view in enumerate(chosen):
        a, b = (picture(renderer, scene, view.camera, background)[0] for scene in scenes)
        levels = error_levels(a, b)
        top = top or full_scale(levels)
        yield {
            "title": "worst view" if number == 0 else view.camera.name or f"view {number + 1}",
            "name": view.camera.name,
            "score": decibels(view.score.psnr),
            "a": data_uri(a),
            "b": data_uri(b),
            "d": data_uri(error_map(levels, top), 92),
            "top": top,
        }


def _ledger(name: str, path: Path, scene: Scene, side: str) -> str:
    sizes = parts(path, scene)
    total, largest = sum(sizes.values()), max(sizes.values(), default=1)
    rows = [
        f'<tr><td>{escape(part)}</td><td class="bar"><i style="width:{100 * size / max(largest, 1):.2f}%;'
        f'background:var(--{side})"></i></td><td>{size:,}</td><td>{8 * size / max(len(scene), 1):.2f}</td></tr>'
        for part, size in sorted(sizes.items(), key=lambda item: -item[1])
    ]
    rows.append(
        f"<tr><td><b>total</b></td><td></td><td><b>{total:,}</b></td>"
        f"<td><b>{8 * total / max(len(scene), 1):.2f}</b></td></tr>"
    )
    head = "<tr><th></th><th></th><th>bytes</th><th>bits per Gaussian</th></tr>"
    return f'<div class="panel"><b>{side.upper()}: {escape(name)}</b><table>{head}{"".join(rows)}</table></div>'
