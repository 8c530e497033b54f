"""``gscompress bench``: size against picture, for your scenes and every codec that is installed."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gscompress.cli import console
from gscompress.cli.cameras import parse_pixels
from gscompress.cli.options import Json
from gscompress.errors import UsageError

if TYPE_CHECKING:
    from gscompress.bench.plan import SceneSpec
    from gscompress.bench.results import SceneResults
    from gscompress.events import EventLog

Scenes = Annotated[list[Path] | None, typer.Argument(metavar="SCENE...", help="Splat files, .ply.xz too, or fields.")]
Out = Annotated[Path | None, typer.Option("--out", "-o", metavar="DIR", help="Everything goes here; runs add up.")]
Codecs = Annotated[
    str | None, typer.Option(metavar="A,B:POINT+POINT|all", help="Codecs, and rate points such as default:q30+q60.")
]
Cameras = Annotated[
    list[str] | None,
    typer.Option(metavar="FILE|NAME=FILE", help="Views that judge; its test views if it has any. Default: generated."),
]
Data = Annotated[
    list[str] | None, typer.Option(metavar="PHOTOS|NAME=PHOTOS", help="Datasets for the protocols with photos.")
]
ProtocolName = Annotated[str, typer.Option(metavar="self|photos|3dgs-zip", help="Against what pictures are scored.")]
Repeat = Annotated[int, typer.Option(metavar="N", help="Runs of every cell; times are medians.")]
Jobs = Annotated[int, typer.Option(metavar="N", help="Cells at a time; 1 gives the truest times.")]
Timeout = Annotated[float, typer.Option(metavar="SECONDS", help="Limit for one encode or decode.")]
Views = Annotated[int, typer.Option(metavar="N", help="Generated views per scene.")]
Size = Annotated[str | None, typer.Option(metavar="WxH", help="Of generated views; default 480x360.")]
Anchor = Annotated[str, typer.Option(metavar="CODEC", help="What BD-rates compare with.")]
SetName = Annotated[str, typer.Option("--set", metavar="NAME", help="Name of the set: results/NAME/SCENE.csv.")]
Quoted = Annotated[Path | None, typer.Option(metavar="FILE.json", help="Published points to show beside, marked so.")]
Lpips = Annotated[bool, typer.Option("--lpips", help="Also LPIPS (VGG; needs torch and its weights).")]
Again = Annotated[bool, typer.Option("--force", help="Run cells again that are finished.")]
Hints = Annotated[bool, typer.Option("--install-hints", help="How to install what other codecs need.")]


def bench(
    scenes: Scenes = None,
    out: Out = None,
    codecs: Codecs = None,
    cameras: Cameras = None,
    data: Data = None,
    protocol: ProtocolName = "self",
    repeat: Repeat = 1,
    jobs: Jobs = 1,
    timeout: Timeout = 900.0,
    views: Views = 24,
    size: Size = None,
    anchor: Anchor = "spz",
    set_name: SetName = "scenes",
    quoted: Quoted = None,
    lpips: Lpips = False,
    force: Again = False,
    install_hints: Hints = False,
    as_json: Json = False,
) -> None:
    """Measure size, picture and time of codecs on scenes. Finished cells are kept, so runs into one folder add up."""
    from gscompress.bench.plan import Rules, check_codec, check_photos, codec_specs, scene_specs
    from gscompress.bench.plot import need_matplotlib
    from gscompress.bench.results import read_quoted
    from gscompress.bench.run import run
    from gscompress.cli import bench_fields, fields

    if install_hints:
        show_hints(as_json)
        return
    if not scenes or out is None:
        raise UsageError("bench needs scenes and a folder for the results: gscompress bench SCENE… -o DIR")
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file: give a folder")
    if not set_name or Path(set_name).name != set_name:
        raise UsageError(f"--set '{set_name}' is no folder name")
    of_fields = [path for path in scenes if fields.recognised(path)]
    if of_fields:
        if len(of_fields) < len(scenes):
            raise UsageError("give fields or splats to bench, not both at once")
        for_splats: dict[str, object] = {"--protocol": protocol != "self", "--repeat": repeat != 1, "--jobs": jobs != 1}
        for_splats |= {"--quoted": quoted, "--lpips": lpips}
        bench_fields.bench(
            of_fields,
            out,
            codecs=codecs,
            cameras=_single("--cameras", cameras),
            data=_single("--data", data),
            size=parse_pixels(size),
            as_json=as_json,
            unused=for_splats,
        )
        return
    need_matplotlib()
    check_codec(anchor)
    specs, chosen = scene_specs(scenes, cameras or (), data or ()), codec_specs(codecs)
    rules = Rules(protocol, views, parse_pixels(size) or (480, 360), repeat, timeout, lpips)  # type: ignore[arg-type]
    check_photos(specs, rules)
    if quoted is not None:
        read_quoted(quoted)
    out.mkdir(parents=True, exist_ok=True)
    with console.progress() as log:
        run(out, specs, chosen, rules, jobs=jobs, force=force, log=log)
        found = report(out, specs, anchor, set_name, quoted, rules.to_json(), log)
    if as_json:
        console.emit({"folder": str(out), "scenes": [_json(scene) for scene in found], "warnings": log.warnings})
        return
    _show(found)
    console.say(f"{out / 'index.html'} shows it all; tables are in {out / 'results'} and {out / 'results.md'}")


def _single(option: str, given: list[str] | None) -> Path | None:
    """The one file or folder of an option that may be repeated for splats. Raises UsageError."""
    if given and len(given) > 1:
        raise UsageError(f"of fields, give {option} once")
    return Path(given[0]) if given else None


def report(
    out: Path,
    specs: list[SceneSpec],
    anchor: str,
    set_name: str,
    quoted: Path | None,
    rules: dict[str, object],
    log: EventLog,
) -> list[SceneResults]:
    """Everything that is made from finished cells: tables, plots, the page."""
    from gscompress.bench import machine, page, plot, results, tables

    with log.phase("write results"):
        found = results.collect(out, [spec.name for spec in specs], quoted, log)
        about = {"command": shlex.join(["gscompress", *sys.argv[1:]]), "machine": machine.describe(), "rules": rules}
        tables.write_all(out, set_name, found, anchor, about)
        plot.write_plots(out, found)
        page.write_page(out / "index.html", out, found, anchor, about)
    return found


def show_hints(as_json: bool) -> None:
    """All codecs that need something installed, with the command that does it."""
    from gscompress.bench.plan import install_hints

    rows = [(peer.name, peer.title, version, peer.install) for peer, version in install_hints()]
    if as_json:
        names = ("codec", "title", "version", "install")
        console.emit({"codecs": [dict(zip(names, row, strict=True)) for row in rows]})
        return
    console.table(
        ["codec", "", "here", "to install it"], [[n, t, version or "–", how] for n, t, version, how in rows], 4
    )


def _json(scene: SceneResults) -> dict[str, object]:
    return {"name": scene.name, "facts": scene.facts, "cells": scene.cells, "failed": scene.failed}


def _show(found: list[SceneResults]) -> None:
    for scene in found:
        console.say(f"{scene.name}: {scene.facts['gaussians']:,} Gaussians, {scene.facts['views']} views")
        rows = [
            [
                cell["title"],
                cell["point"],
                f"{cell['bytes']:,}",
                "identical" if cell["identical"] else f"{cell['psnr']:.2f}",
                "" if cell["identical"] or not cell["worst"]["psnr"] else f"{cell['worst']['psnr']:.2f}",
                f"{cell['encode']['seconds']:.1f}" if "encode" in cell else "",
                f"{cell['decode']['seconds']:.1f}" if "decode" in cell else "",
            ]
            for cell in scene.cells
        ]
        rows += [[cell["title"], cell["point"], cell["status"], "", "", "", ""] for cell in scene.failed]
        console.table(["codec", "point", "bytes", "PSNR dB", "worst", "encode s", "decode s"], rows, words=2)
        for cell in scene.failed:
            console.say(f"{cell['title']} {cell['point']}: {cell['error']} ({cell['log']})")
