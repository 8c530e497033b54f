"""Our own presets, run as ``gscompress compress`` runs them: 48 generated views, none of which judges later."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from gscompress import __version__, api
from gscompress.bench.peers.base import Peer, Point
from gscompress.context import Context
from gscompress.errors import UsageError
from gscompress.events import EventLog

QUALITIES = (10, 20, 30, 40, 50, 60, 75, 90, 100)
_LABEL = re.compile(r"q(\d{1,3}(?:\.\d+)?)")


class Preset(Peer):
    """A preset with a quality dial; any quality from 0 to 100 is a rate point."""

    suffix = ".gscz"
    ours = True
    qualities: ClassVar[tuple[int, ...]] = QUALITIES

    def version(self) -> str:
        codec = api.recipe_for(self.name).codec
        return f"gscompress {__version__}, codec {codec.name} {codec.version}"

    def points(self, sh_degree: int) -> Sequence[Point]:
        return [Point(f"q{quality}", {"quality": quality}) for quality in self.qualities]

    def point(self, label: str, sh_degree: int) -> Point:
        found = _LABEL.fullmatch(label)
        if not found:
            raise UsageError(f"codec '{self.name}' has rate points such as q50, not '{label}'")
        return Point(label, {"quality": float(found[1])})

    def encode(self, source: Path, target: Path, options: Mapping[str, Any], log: EventLog) -> None:
        from gscompress import formats

        scene = formats.read(source, log)
        needs = api.recipe_for(self.name, **options).needs
        ctx = Context(log=log)
        if "renderer" in needs:
            from gscompress.renderers import RENDERERS
            from gscompress.viewpoints import for_encoding

            ctx = Context(log=log, renderer=RENDERERS.get("cpu")(), cameras=for_encoding(scene))
        api.compress_to_file(scene, target, self.name, **options, ctx=ctx, force=True)


class Default(Preset):
    name = "default"
    title = "gscompress default"


class Fast(Preset):
    name = "fast"
    title = "gscompress fast"


class Small(Preset):
    name = "small"
    title = "gscompress small"


class Progressive(Preset):
    name = "progressive"
    title = "gscompress progressive"


class Lossless(Preset):
    name = "lossless"
    title = "gscompress lossless"

    def points(self, sh_degree: int) -> Sequence[Point]:
        return [Point("exact")]

    def point(self, label: str, sh_degree: int) -> Point:
        return Peer.point(self, label, sh_degree)
