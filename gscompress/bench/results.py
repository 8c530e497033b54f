"""What a folder of cells says: gathered from disk, so that runs with different codecs add up."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gscompress.bench.bd import Curve, bd_psnr, bd_rate, curve, psnr_at, rate_at
from gscompress.bench.peers import ordered
from gscompress.bench.run import CELLS, SCENES, load
from gscompress.errors import UnreadableError
from gscompress.events import EventLog

Facts = dict[str, Any]
EXACT = 75.0
"""dB: under one value in 500 is off by one level, as happens when only the order of Gaussians changes."""


@dataclass(frozen=True, slots=True)
class SceneResults:
    """facts: of the scene (``scene.json``). cells: finished ones, by codec, then size. failed: the others."""

    facts: Facts
    cells: list[Facts]
    failed: list[Facts]

    @property
    def name(self) -> str:
        return str(self.facts["name"])

    def codecs(self) -> list[str]:
        """Codecs with a finished cell, in the order of tables."""
        return list(dict.fromkeys(cell["codec"] for cell in self.cells))

    def of(self, codec: str) -> list[Facts]:
        return [cell for cell in self.cells if cell["codec"] == codec]

    def curve(self, codec: str) -> Curve:
        """Bytes and PSNR of a codec's lossy points."""
        return curve([(cell["bytes"], cell["psnr"]) for cell in self.of(codec) if not exact(cell)])


@dataclass(frozen=True, slots=True)
class Delta:
    """A codec against an anchor on one scene; None where the two curves have no range in common."""

    scene: str
    codec: str
    anchor: str
    bd_rate: float | None
    bd_psnr: float | None
    bd_rate_cubic: float | None


@dataclass(frozen=True, slots=True)
class Margin:
    """Percent more (negative: fewer) bytes of one of our curves at the PSNR of an anchor.

    The BD-rate; with ``points``, the geometric mean over so many points of an anchor without a curve in our range.
    """

    scene: str
    codec: str
    anchor: str
    percent: float
    points: int | None


@dataclass(frozen=True, slots=True)
class Equal:
    """A rate point of another codec beside one of our curves: our bytes at its PSNR, our dB at its bytes."""

    scene: str
    codec: str
    point: str
    bytes: int
    psnr: float
    our_bytes: float | None
    our_psnr: float | None


def collect(
    folder: Path, names: Sequence[str], quoted: Path | None = None, log: EventLog | None = None
) -> list[SceneResults]:
    """All cells of these scenes that were measured on the scenes as they are now. Raises UnreadableError."""
    log = log or EventLog()
    extra = {} if quoted is None else read_quoted(quoted)
    out = []
    for name in names:
        facts = load(folder / SCENES / name / "scene.json")
        if facts is None:
            raise UnreadableError(f"{folder}: nothing was measured on a scene '{name}'")
        found = [load(path) for path in sorted((folder / CELLS / name).glob("*/*/cell.json"))]
        current = [cell for cell in found if cell and _fits(cell, facts)]
        if len(current) < len(found):
            log.warn(f"{name}: {len(found) - len(current)} cells of an earlier scene or of other views are left out")
        rank = {codec: number for number, codec in enumerate(ordered())}
        current.sort(key=lambda cell: (rank.get(cell["codec"], len(rank)), cell["codec"], cell.get("bytes", 0)))
        done = [cell for cell in current if cell["status"] == "done"] + extra.get(name, [])
        out.append(SceneResults(facts, done, [cell for cell in current if cell["status"] != "done"]))
    return out


def read_quoted(path: Path) -> dict[str, list[Facts]]:
    """Published points: ``{scene: [{"title", "point", "bytes", "psnr", "worst", "source"}]}``.

    Raises UnreadableError.
    """
    try:
        scenes = json.loads(path.read_text("utf-8"))
        return {
            scene: [
                {
                    "codec": f"quoted: {entry['title']}",
                    "title": f"{entry['title']} (quoted)",
                    "point": entry.get("point", ""),
                    "bytes": int(entry["bytes"]),
                    "psnr": float(entry["psnr"]),
                    "worst": {"psnr": entry.get("worst"), "view": "", "index": None},
                    "source": entry["source"],
                    "status": "quoted",
                    "ours": False,
                    "identical": False,
                }
                for entry in entries
            ]
            for scene, entries in scenes.items()
        }
    except OSError as error:
        raise UnreadableError(f"{path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnreadableError(f"{path}: no list of quoted points: {type(error).__name__} {error}") from None


def deltas(scenes: Sequence[SceneResults], anchor: str) -> Iterator[Delta]:
    """Every codec with a curve against the anchor's curve, scene by scene."""
    for scene in scenes:
        base = scene.curve(anchor)
        for codec in scene.codecs():
            test = scene.curve(codec)
            if codec != anchor and len(test) > 1 and len(base) > 1:
                gaps = bd_rate(base, test), bd_psnr(base, test), bd_rate(base, test, "cubic")
                yield Delta(scene.name, codec, anchor, *gaps)


def margins(scenes: Sequence[SceneResults], ours: str, anchors: Sequence[str]) -> Iterator[Margin]:
    """One of our curves against each anchor on each scene, where they have any PSNR in common."""
    for scene in scenes:
        mine = scene.curve(ours)
        for anchor in anchors:
            base = scene.curve(anchor)
            percent = bd_rate(base, mine) if len(base) > 1 and len(mine) > 1 else None
            if percent is not None:
                yield Margin(scene.name, ours, anchor, percent, None)
                continue
            pairs = [(rate_at(mine, psnr), rate) for rate, psnr in zip(base.rates, base.psnrs, strict=True)]
            gaps = [math.log(here / there) for here, there in pairs if here is not None]
            if gaps:
                yield Margin(scene.name, ours, anchor, math.expm1(sum(gaps) / len(gaps)) * 100, len(gaps))


def equals(scenes: Sequence[SceneResults], ours: str = "default") -> Iterator[Equal]:
    """Every lossy point of the others beside the curve of one of our presets."""
    for scene in scenes:
        mine = scene.curve(ours)
        for cell in scene.cells:
            if not cell["ours"] and not exact(cell) and len(mine):
                size, psnr = cell["bytes"], cell["psnr"]
                yield Equal(
                    scene.name, cell["title"], cell["point"], size, psnr, rate_at(mine, psnr), psnr_at(mine, size)
                )


def behind(scenes: Sequence[SceneResults], ours: str) -> Iterator[tuple[str, Facts, float | None]]:
    """Points of others above one of our curves, and the dB that we reach in no more bytes (None: in none so few).

    Beyond its end a curve stays at its last point. Points at which nothing is lost count against our own such points.
    """
    for scene in scenes:
        mine = scene.curve(ours)
        spared = min((cell["bytes"] for cell in scene.cells if cell["ours"] and exact(cell)), default=math.inf)
        for cell in scene.cells:
            if cell["ours"] or len(mine) < 2 or (exact(cell) and spared <= cell["bytes"]):
                continue
            reached = psnr_at(mine, min(cell["bytes"], mine.rates[-1]))
            if exact(cell) or reached is None or reached < cell["psnr"]:
                yield scene.name, cell, reached


def exact(cell: Mapping[str, Any]) -> bool:
    """Whether the pictures are the same for all purposes: such a point has no place on a curve."""
    return bool(cell["identical"] or cell["psnr"] > EXACT)


def worst_psnr(cell: Mapping[str, Any]) -> float | None:
    return cell["worst"]["psnr"] if cell.get("worst") else None


def _fits(cell: Facts, facts: Facts) -> bool:
    conditions = cell["conditions"]
    return bool(conditions["source"] == facts["source_sha256"] and conditions["views"] == facts["views_digest"])
