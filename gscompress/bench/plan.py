"""What is to be measured: scenes, codecs with rate points, and the rules."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from gscompress.bench.peers import PEERS, USUAL, ordered
from gscompress.bench.peers.base import Peer, Point
from gscompress.bench.standard import locate
from gscompress.errors import UnreadableError, UsageError
from gscompress.events import EventLog

Protocol = Literal["self", "photos", "3dgs-zip"]
_SUFFIXES = (".compressed.ply", ".ply.xz")


@dataclass(frozen=True, slots=True)
class SceneSpec:
    """name: of folders and tables. path: any splat file, also .ply.xz. note: what readers of the results must know.

    cameras: a camera file whose test views judge, None for generated ones. photos: a dataset, for the protocols
    that use one.
    """

    name: str
    path: Path
    cameras: Path | None = None
    photos: Path | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class CodecSpec:
    """A codec and its rate points by label; no labels: its usual ones."""

    name: str
    labels: tuple[str, ...] = ()

    def points(self, sh_degree: int) -> list[Point]:
        """Raises UsageError for a label that the codec does not know."""
        peer = PEERS.get(self.name)()
        if not self.labels:
            return list(peer.points(sh_degree))
        return [peer.point(label, sh_degree) for label in self.labels]


@dataclass(frozen=True, slots=True)
class Rules:
    """How everything is measured.

    protocol: "self" (against the original's renders), "photos" (against held-out photos), "3dgs-zip" (the same by the
    survey's rules: SSIM with zero borders, LPIPS with VGG where its weights are). views, size: of generated cameras.
    repeat: runs of every cell, of which times are medians. timeout: seconds for one process.
    """

    protocol: Protocol = "self"
    views: int = 24
    size: tuple[int, int] = (480, 360)
    repeat: int = 1
    timeout: float = 900.0
    lpips: bool = False

    def __post_init__(self) -> None:
        if self.protocol not in ("self", "photos", "3dgs-zip"):
            raise UsageError(f"unknown protocol '{self.protocol}': choose from self, photos, 3dgs-zip")
        if not 1 <= self.repeat <= 100 or self.timeout <= 0:
            raise UsageError(f"repeat {self.repeat} (1 to 100) or timeout {self.timeout:g} (over 0 s) is out of range")

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


@dataclass(frozen=True, slots=True)
class Cell:
    """One codec at one rate point on one scene."""

    scene: SceneSpec
    codec: str
    point: Point

    @property
    def folder(self) -> Path:
        """Below the folder of all cells."""
        return Path(self.scene.name, self.codec, re.sub(r"[^A-Za-z0-9._-]", "-", self.point.label))

    def __str__(self) -> str:
        return f"{self.scene.name} · {self.codec} · {self.point.label}"


def scene_specs(
    paths: Sequence[Path],
    cameras: Sequence[str] = (),
    photos: Sequence[str] = (),
    notes: Mapping[str, str] | None = None,
) -> list[SceneSpec]:
    """Scenes named after their files. cameras, photos: one path if there is one scene, else ``NAME=PATH`` each.

    One folder of photos may hold the data sets of all scenes, each in a folder of its name. A trainer's
    ``garden/point_cloud/iteration_30000/point_cloud.ply`` is called garden.

    Raises UsageError for names that clash or are unknown, UnreadableError for files that are not there.
    """
    named = {_stem(path): path for path in paths}
    if len(named) < len(paths):
        raise UsageError("two scenes have the same file name: results could not be told apart, rename one")
    for path in paths:
        if not path.exists():
            raise UnreadableError(f"{path}: no such file")
    given = {what: _assign(what, wishes, named) for what, wishes in (("--cameras", cameras), ("--data", photos))}
    return [
        SceneSpec(name, path, given["--cameras"].get(name), given["--data"].get(name), (notes or {}).get(name, ""))
        for name, path in named.items()
    ]


def codec_specs(wish: str | None) -> list[CodecSpec]:
    """``default,spz:5/4+8/8``, ``all``, or None for the usual ones. Raises UsageError for unknown names."""
    if wish is None or wish == "all":
        return [CodecSpec(name) for name in (USUAL if wish is None else ordered())]
    specs = []
    for part in filter(None, (item.strip() for item in wish.split(","))):
        name, _, labels = part.partition(":")
        check_codec(name)
        specs.append(CodecSpec(name, tuple(filter(None, labels.split("+")))))
    if not specs:
        raise UsageError(f"--codecs '{wish}' names no codec: choose from {', '.join(ordered())}")
    return specs


def check_photos(scenes: Sequence[SceneSpec], rules: Rules) -> None:
    """Raises UsageError for a scene without the photos that the protocol scores against."""
    for scene in scenes:
        if rules.protocol != "self" and scene.photos is None:
            raise UsageError(f"protocol '{rules.protocol}' needs the photos of {scene.name}: give them with --data")


def check_codec(name: str) -> None:
    """Raises UsageError for a name that no codec has."""
    if name not in PEERS:
        raise UsageError(f"unknown codec '{name}': choose from {', '.join(ordered())}")


def installed(specs: Sequence[CodecSpec], log: EventLog) -> list[CodecSpec]:
    """Those that can run here; the others are skipped with a warning that says how to install them."""
    there = []
    for spec in specs:
        peer = PEERS.get(spec.name)()
        if peer.version() is None:
            log.warn(f"{spec.name} is not installed and left out: {peer.install}")
        else:
            there.append(spec)
    return there


def install_hints() -> Iterator[tuple[Peer, str | None]]:
    """Every codec that needs something, and the version that is there."""
    for name in ordered():
        peer = PEERS.get(name)()
        if peer.install:
            yield peer, peer.version()


def _stem(path: Path) -> str:
    lower = path.name.lower()
    outer = path.absolute().parent.parent
    if lower == "point_cloud.ply" and outer.name == "point_cloud" and outer.parent.name:
        return outer.parent.name
    for suffix in _SUFFIXES:
        if lower.endswith(suffix):
            return path.name[: -len(suffix)]
    return path.stem


def _assign(what: str, wishes: Sequence[str], scenes: Mapping[str, Path]) -> dict[str, Path]:
    out = {}
    if what == "--data" and len(wishes) == 1 and "=" not in wishes[0] and Path(wishes[0]).is_dir():
        found = {name: locate(Path(wishes[0]), name) for name in scenes}
        if len(scenes) == 1 or Path(wishes[0]) not in found.values():
            return found
        lost = next(name for name, folder in found.items() if folder == Path(wishes[0]))
        raise UnreadableError(f"{wishes[0]}: holds no folder '{lost}' with cameras")
    for wish in wishes:
        name, equals, path = wish.partition("=")
        if not equals and len(scenes) == 1:
            name, path = next(iter(scenes)), wish
        if name not in scenes or not path:
            raise UsageError(f"{what} '{wish}': with several scenes give NAME=PATH, NAME one of {', '.join(scenes)}")
        if not Path(path).exists():
            raise UnreadableError(f"{path}: no such file or folder")
        out[name] = Path(path)
    return out
