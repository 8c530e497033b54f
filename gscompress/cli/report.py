"""``compress --report out.html``: one page, complete in itself, that shows what was kept and what was lost."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from gscompress import __version__
from gscompress.atomic import staged
from gscompress.camera import Camera
from gscompress.cli.cameras import choose
from gscompress.cli.console import size_of, size_text
from gscompress.cli.eval import decibels
from gscompress.comparison import Colour, Comparison, ViewScore, compare, picture
from gscompress.events import EventLog
from gscompress.frame import RDF
from gscompress.ledger import Ledger
from gscompress.pictures import RAMP, U8, data_uri, error_levels, error_map, full_scale
from gscompress.renderers.base import Renderer
from gscompress.scene import Scene

COLOURS = 10
"""Of the palette in the page's style; further attributes share the last one."""


@dataclass(frozen=True, slots=True)
class Run:
    """A compression run as the page tells it. source, output: file names. settings: nested plain values, shown flat."""

    source: str
    output: str
    bytes_before: int
    bytes_after: int
    seconds: float | None = None
    ledger: Ledger | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    warnings: Sequence[str] = ()


def report_compression(
    page: Path,
    source: Path,
    target: Path,
    scene: Scene,
    *,
    seconds: float,
    cameras: Sequence[Camera] = (),
    log: EventLog | None = None,
    force: bool = False,
) -> Comparison:
    """Decode ``target``, the .gscz that ``scene`` from ``source`` became, compare the two and write the page.

    Views are the given cameras, or generated ones that compression did not judge by. Raises UsageError,
    UnreadableError, OutputExistsError.
    """
    from gscompress import formats
    from gscompress.container.reader import Reader, ledger
    from gscompress.renderers import RENDERERS

    log = log or EventLog()
    reference, decoded = scene.in_frame(RDF), formats.read(target, log).in_frame(RDF)
    renderer = RENDERERS.get("cpu")()
    comparison = compare(reference, decoded, cameras or choose(reference, "auto:24", None), renderer, log=log)
    reader = Reader.open(target)
    settings = {"recipe": reader.header["recipe"], "codec": reader.header["codec"]}
    sizes = size_of(source), size_of(target)
    spent = ledger(reader, len(scene))
    run = Run(source.name, target.name, *sizes, seconds, spent, settings, tuple(log.warnings))
    write_report(page, run, reference, decoded, comparison, renderer, force=force)
    return comparison


def write_report(
    target: Path,
    run: Run,
    reference: Scene,
    decoded: Scene,
    comparison: Comparison,
    renderer: Renderer,
    *,
    background: Colour = (0.0, 0.0, 0.0),
    force: bool = False,
) -> None:
    """Render the worst, the median and the best view and write the page. Both scenes are in the cameras' axes.

    Raises UsageError, OutputExistsError when the file exists and ``force`` is off.
    """
    template = Template(files("gscompress.data").joinpath("report.html").read_text("utf-8"))
    page = template.substitute(
        version=escape(__version__),
        title=escape(f"{run.source} → {run.output}"),
        subtitle=escape(_subtitle(reference, decoded, comparison, renderer)),
        cards="".join(_card(*card) for card in _cards(run, len(reference), comparison)),
        warnings=_warnings(run.warnings),
        figures="".join(_figures(reference, decoded, comparison, renderer, background)),
        chart=_chart(comparison.views),
        ledger=_ledger(run.ledger),
        settings="".join(f"<tr><td>{escape(k)}</td><td>{escape(v)}</td></tr>" for k, v in _flat(run.settings)),
        ramp=", ".join(f"rgb({r:.0f} {g:.0f} {b:.0f})" for r, g, b in RAMP),
    )
    with staged(target, force=force) as path:
        path.write_text(page, encoding="utf-8")


def _subtitle(reference: Scene, decoded: Scene, comparison: Comparison, renderer: Renderer) -> str:
    camera = comparison.views[0].camera
    kept = "" if len(reference) == len(decoded) else f", {len(decoded):,} of them kept"
    return (
        f"{len(reference):,} Gaussians of SH degree {reference.splats.sh_degree}{kept}; "
        f"{len(comparison.views)} views of {camera.width}x{camera.height} by the {renderer.name} renderer"
    )


def _cards(run: Run, gaussians: int, comparison: Comparison) -> Iterator[tuple[str, str]]:
    yield size_text(run.bytes_after), f"from {size_text(run.bytes_before)}"
    yield f"{run.bytes_before / max(run.bytes_after, 1):.1f}×", "smaller"
    yield f"{run.bytes_after / max(gaussians, 1):.2f}", "bytes per Gaussian"
    yield decibels(comparison.mean.psnr), "PSNR, mean of views"
    yield decibels(comparison.worst.score.psnr), "PSNR, worst view"
    if comparison.mean.ssim is not None:
        yield f"{comparison.mean.ssim:.4f}", "SSIM, mean of views"
    if comparison.photos:
        before, after = comparison.photos
        yield f"{before.psnr - after.psnr:+.2f} dB", f"lost on held-out photos ({before.psnr:.2f} before)"
    if run.seconds is not None:
        yield f"{run.seconds:.1f} s", "to compress"


def _card(value: str, label: str) -> str:
    return f'<div class="card"><b>{escape(value)}</b><span>{escape(label)}</span></div>'


def _warnings(warnings: Sequence[str]) -> str:
    items = "".join(f"<li>{escape(text)}</li>" for text in warnings)
    return f'<h2>Remarks</h2><div class="panel"><ul>{items}</ul></div>' if items else ""


def _figures(
    reference: Scene, decoded: Scene, comparison: Comparison, renderer: Renderer, background: Colour
) -> Iterator[str]:
    """The worst, the median and the best view, as far as there are that many, under one scale of errors."""
    order = sorted(comparison.views, key=lambda view: view.score.psnr)
    named = {"Worst view": 0, "Median view": len(order) // 2, "Best view": len(order) - 1}
    shown = {index: title for title, index in reversed(named.items())}
    top = 0
    for index, title in sorted(shown.items()):
        view = order[index]
        before, after = (picture(renderer, scene, view.camera, background)[0] for scene in (reference, decoded))
        levels = error_levels(before, after)
        top = top or full_scale(levels)
        yield _figure(title, view, before, after, error_map(levels, top), top)


def _figure(title: str, view: ViewScore, before: U8, after: U8, errors: U8, top: int) -> str:
    score = decibels(view.score.psnr) + ("" if view.score.ssim is None else f" · SSIM {view.score.ssim:.4f}")
    return (
        f"<figure><figcaption><b>{escape(title)}</b><span>{escape(view.camera.name)}</span><span>{score}</span>"
        f'</figcaption><div class="pair"><div><div class="wipe">{_image(before, "original")}'
        f'<div class="over">{_image(after, "decoded")}</div>'
        '<input type="range" min="0" max="100" value="50" step="0.1" aria-label="original to decoded">'
        '<div class="edge"></div><span class="tag l">original</span><span class="tag r">decoded</span></div></div>'
        f'<div><div class="error">{_image(errors, "error map")}</div>'
        f'<div class="scale">0<i></i>{top} of 255 levels</div></div></div></figure>'
    )


def _image(pixels: U8, what: str) -> str:
    height, width = pixels.shape[:2]
    return f'<img alt="{what}" width="{width}" height="{height}" src="{data_uri(pixels)}">'


def _chart(views: Sequence[ViewScore]) -> str:
    """PSNR per view as bars of an SVG, identical views to the top, the mean dashed."""
    finite = [view.score.psnr for view in views if math.isfinite(view.score.psnr)]
    if not finite:
        return "<p>Every view is identical, bit for bit.</p>"
    mean = float(np.mean(finite))
    low = min(max(math.floor(min(finite) / 5) * 5 - 5, 0), math.floor(min(finite)))
    high = math.ceil(max(finite) / 5) * 5
    high += high == low
    width, height, left, base = 1040, 220, 40, 200

    def level(psnr: float) -> float:
        return base - (min(psnr, high) - low) / (high - low) * (base - 10)

    parts = []
    for mark in range(low, high + 1, 5 * math.ceil((high - low) / 40)):
        y = level(mark)
        parts.append(f'<line class="grid" x1="{left}" x2="{width}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{mark}</text>')
    step = (width - left) / len(views)
    lowest = min(finite)
    for number, view in enumerate(views):
        y = level(view.score.psnr)
        kind = "bar worst" if view.score.psnr == lowest else "bar"
        tip = escape(f"{view.camera.name}: {decibels(view.score.psnr)}")
        parts.append(
            f'<rect class="{kind}" x="{left + step * (number + 0.12):.1f}" width="{step * 0.76:.1f}" y="{y:.1f}" '
            f'height="{max(base - y, 0.5):.1f}" rx="1.5"><title>{tip}</title></rect>'
        )
    y = level(mean)
    parts.append(f'<line class="mean" x1="{left}" x2="{width}" y1="{y:.1f}" y2="{y:.1f}"/>')
    parts.append(f'<text x="{width}" y="{height - 4}" text-anchor="end">PSNR in dB, mean {mean:.2f} dashed</text>')
    return f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="PSNR per view">{"".join(parts)}</svg>'


def _ledger(ledger: Ledger | None) -> str:
    if ledger is None or not ledger.total:
        return ""
    rows, stack = [], []
    for number, (name, size) in enumerate(sorted(ledger.by_attribute().items(), key=lambda item: -item[1])):
        colour = f"background:var(--c{min(number, COLOURS - 1)})"
        share = size / ledger.total
        stack.append(f'<i style="{colour};flex:{share:.6f}" title="{escape(name)}"></i>')
        rows.append(
            f'<tr><td><span class="dot" style="{colour}"></span>{escape(name)}</td><td>{size:,}</td>'
            f"<td>{100 * share:.1f} %</td><td>{ledger.bits_per_gaussian(size):.2f}</td></tr>"
        )
    rows.append(
        f"<tr><td><b>total</b></td><td><b>{ledger.total:,}</b></td><td></td>"
        f"<td><b>{ledger.bits_per_gaussian(ledger.total):.2f}</b></td></tr>"
    )
    head = "<tr><th>attribute</th><th>bytes</th><th>share</th><th>bits per Gaussian</th></tr>"
    return (
        '<h2>Where the bytes went</h2><div class="panel">'
        f'<div class="stack">{"".join(stack)}</div><table>{head}{"".join(rows)}</table></div>'
    )


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested settings as dotted names and texts."""
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key}.")
        elif isinstance(value, (list, tuple)) and any(isinstance(item, Mapping) for item in value):
            for number, item in enumerate(value):
                yield from _flat({str(number): item}, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", "–" if value in (None, {}, []) else str(value)
