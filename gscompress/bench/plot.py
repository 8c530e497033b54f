"""Rate-distortion plots as PNG files, with matplotlib (extra ``bench``)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gscompress.atomic import staged
from gscompress.bench.peers import PEERS, ordered
from gscompress.bench.results import Facts, SceneResults, exact
from gscompress.errors import MissingExtraError

LOOKS = {
    **{"default": ("#c8321e", "o"), "fast": ("#e8883a", "o"), "small": ("#7d1128", "o"), "lossless": ("#8a7f78", "o")},
    **{
        "spz": ("#2f5fd0", "s"),
        "st_spz": ("#5c8cf0", "X"),
        "niantic_spz": ("#16307a", "<"),
        "gsply_spz": ("#8fb0f5", "h"),
    },
    **{"sog": ("#2a9d8f", "^"), "st_sog": ("#12665c", "v")},
    **{"compressed_ply": ("#5b6770", "v"), "st_compressed_ply": ("#98a3ab", "X")},
    **{
        "gsplat_png": ("#8e5bbf", "D"),
        "splat": ("#b0a030", "P"),
        "ksplat": ("#6b8e3d", ">"),
        "draco": ("#94846a", "p"),
    },
}
"""Colour and marker of every codec that comes with us; formats of one family have shades of one colour."""
OTHERS = ("#c06c9b", "#4fa3d1", "#505a9e", "#a8623a", "#3f8f5f", "#7a5c8e")
MARKERS = ("h", "p", "D", "s", "^", "P")


def need_matplotlib() -> None:
    """Raise MissingExtraError before any work is done."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise MissingExtraError("matplotlib", "bench", "plotting") from None


def styles(scenes: Sequence[SceneResults]) -> dict[str, tuple[str, str]]:
    """Colour and marker of every codec in the order of tables, the same in all plots."""
    out, others = {}, 0
    seen = dict.fromkeys(codec for scene in scenes for codec in scene.codecs())
    for codec in (*(name for name in ordered() if name in seen), *(name for name in seen if name not in PEERS)):
        if codec in LOOKS:
            out[codec] = LOOKS[codec]
        else:
            out[codec] = OTHERS[others % len(OTHERS)], MARKERS[others % len(MARKERS)]
            others += 1
    return out


def write_plots(folder: Path, scenes: Sequence[SceneResults]) -> list[Path]:
    """``rd-<scene>.png`` for each, and ``rd.png`` with all of them. Raises MissingExtraError."""
    written = []
    for scene in scenes:
        written.append(folder / f"rd-{scene.name}.png")
        draw([scene], written[-1])
    if len(scenes) > 1:
        written.append(folder / "rd.png")
        draw(scenes, written[-1])
    return written


def draw(scenes: Sequence[SceneResults], target: Path) -> None:
    """One panel per scene: bytes per Gaussian (log) against mean PSNR. Raises MissingExtraError."""
    need_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(3 if len(scenes) < 10 else 4, len(scenes))
    rows = math.ceil(len(scenes) / columns)
    size = (7.6, 5.2) if len(scenes) == 1 else (3.9 * columns, 3.3 * rows + 0.7)
    figure = Figure(figsize=size, dpi=130, facecolor="white")
    FigureCanvasAgg(figure)
    look = styles(scenes)
    handles: dict[str, Any] = {}
    for number, scene in enumerate(scenes):
        axes = figure.add_subplot(rows, columns, number + 1)
        _panel(axes, scene, look, handles)
        if number % columns == 0:
            axes.set_ylabel("PSNR of held-out views, dB")
        if number >= len(scenes) - columns:
            axes.set_xlabel("bytes per Gaussian, log scale")
    _legend(figure, [handles[codec] for codec in look if codec in handles], rows, columns, len(scenes), 0.7 / size[1])
    with staged(target, force=True) as path:
        figure.savefig(path, format="png", metadata={"Software": None})


def _legend(figure: Any, entries: Sequence[tuple[Any, str]], rows: int, columns: int, panels: int, low: float) -> None:
    """In the first empty panel, or below all of them."""
    look: dict[str, Any] = {"frameon": False, "fontsize": 8.5}
    handles, titles = [line for line, _ in entries], [title for _, title in entries]
    if panels < rows * columns:
        axes = figure.add_subplot(rows, columns, panels + 1)
        axes.axis("off")
        axes.legend(handles, titles, loc="center left", **look)
        figure.tight_layout()
        return
    count = max(1, min(3 if columns < 3 else 5, len(handles)))
    figure.legend(handles, titles, loc="lower center", ncol=count, **look)
    figure.tight_layout(rect=(0, low, 1, 1))


def _panel(axes: Any, scene: SceneResults, look: dict[str, tuple[str, str]], handles: dict[str, Any]) -> None:
    count = max(scene.facts["gaussians"], 1)
    axes.set_xscale("log")
    axes.margins(x=0.09, y=0.06)
    for codec in scene.codecs():
        cells = sorted((cell for cell in scene.of(codec) if not exact(cell)), key=lambda cell: cell["bytes"])
        if not cells:
            continue
        colour, marker = look[codec]
        ours, quoted = cells[0]["ours"], cells[0]["status"] == "quoted"
        (line,) = axes.plot(
            [cell["bytes"] / count for cell in cells],
            [cell["psnr"] for cell in cells],
            color=colour,
            marker=marker,
            markersize=5 if ours else 5.5,
            markerfacecolor="white" if quoted else colour,
            linewidth=2 if ours else 1.2,
            linestyle="-" if len(cells) > 1 else "none",
            zorder=3 if ours else 2,
        )
        handles.setdefault(codec, (line, cells[0]["title"]))
        if codec == "default":
            _name_points(axes, cells, count, colour)
    _exact(axes, scene, count)
    _original(axes, scene)
    axes.set_title(scene.name, fontsize=11, fontweight="bold", loc="left")
    axes.set_title(f"{count:,} Gaussians, SH {scene.facts['sh_degree']}", fontsize=8.5, loc="right", color="#6b625c")
    axes.grid(True, which="major", color="#e4e4e0", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8.5)
    axes.xaxis.set_major_locator(_ticks())
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("")


def _name_points(axes: Any, cells: Sequence[Facts], count: int, colour: str) -> None:
    """The dial's settings at both ends of the curve that most people will use."""
    for cell, (x, y), side in ((cells[0], (5, -2), "left"), (cells[-1], (-5, 4), "right")):
        place = cell["bytes"] / count, cell["psnr"]
        look = {"textcoords": "offset points", "fontsize": 7, "color": colour, "ha": side}
        axes.annotate(cell["point"], place, (x, y), va="top" if side == "left" else "bottom", **look)


def _original(axes: Any, scene: SceneResults) -> None:
    """Against photos nothing can do better than the scene that was compressed, other than by luck."""
    if original := scene.facts.get("original"):
        axes.axhline(original["psnr"], color="#8a7f78", linewidth=1, linestyle="--")
        axes.annotate(
            "original .ply",
            (0.01, original["psnr"]),
            xycoords=("axes fraction", "data"),
            fontsize=7,
            color="#6b625c",
            va="bottom",
        )


def _exact(axes: Any, scene: SceneResults, count: int) -> None:
    """Codecs that lose nothing to be seen have no place on the scale: a thin line at the smallest of them."""
    same: list[Facts] = [cell for cell in scene.cells if exact(cell)]
    if same:
        best = min(same, key=lambda cell: cell["bytes"])
        axes.axvline(best["bytes"] / count, color="#8a7f78", linewidth=1, linestyle=":")
        axes.annotate(
            f"exact: {best['title']}",
            (best["bytes"] / count, 0.02),
            xycoords=("data", "axes fraction"),
            rotation=90,
            fontsize=7,
            color="#6b625c",
            ha="right",
            va="bottom",
        )


def _ticks() -> Any:
    from matplotlib.ticker import LogLocator

    return LogLocator(subs=(1, 2, 5), numticks=12)
