"""Our own codec for a trained scene: every Gaussian gets the precision that the picture needs of it.

    means ─ tree of splits ─ bits below the leaves            ┐ steps: base x 2^class per Gaussian,
    scales, rotation, opacity ─ domains with even sensitivity ├ classes from rendering sensitivities,
    DC ─ luma, chroma      SH ─ basis fitted to the scene     ┘ sent once per Gaussian
    symbols ─ contexts from neighbours and earlier streams ─ logistic mixing ─ rANS

Levels: the base holds everything but higher SH, three bands of SH coefficients follow in order of energy. Scenes above
``part`` Gaussians are cut into spatial parts that are coded side by side.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from gscompress.blas import one_thread
from gscompress.codecs.base import Codec
from gscompress.codecs.glance import glance
from gscompress.codecs.importance import Importance, assess
from gscompress.codecs.part import Shared
from gscompress.codecs.plan import Plan
from gscompress.codecs.pruning import prune
from gscompress.codecs.self_tuning import tuned
from gscompress.codecs.settling import settled
from gscompress.codecs.skeleton import Part, Skeleton, blank, window
from gscompress.container.chunk import Chunk
from gscompress.context import NEARBY, Context
from gscompress.errors import UnreadableError
from gscompress.recipe import Recipe
from gscompress.scene import Scene, Splats
from gscompress.transforms.clean import Clean

PARAMETERS = 90.0  # effective parameters per Gaussian that share the picture's error, at quality 50 on trained scenes
# Qualities this far apart share pruning and sensitivities in a search; tuned ones more, since every try takes a minute.
_CLOSE, _CLOSE_TUNED = 1.5, 8.0
FEWEST = 2000  # Gaussians for a second layer, 4 times as many for each further one: fewer, and a layer costs over 5 %


@dataclass(frozen=True)
class DefaultCodec(Codec):
    """quality: 0 to 100; about 30 + 0.3 x quality dB against the original's renders, 57 to 60 at the end.

    renders: judge by renders (when the Context has a renderer) rather than by opacity and size.
    prune: drop Gaussians that cost more bits than their removal costs picture, times this factor; 0 keeps all.
    tune: seconds of self-distillation on two typical cores (counted in steps, so that results repeat).
    settle: rounds in which colours move until their rounding looks right, without tuning; without them, or renders,
    diffusion: share of an SH coefficient's rounding error that the next Gaussian makes up for.
    layers: in how many steps of importance the Gaussians come at most, for a progressive file; in fewer where those
    would cost over a twentieth of the file.
    part: most Gaussians that are coded as one unit.
    """

    quality: float = 50.0
    renders: bool = True
    prune: float = 0.6
    tune: float = 0.0
    settle: int = 3
    diffusion: float = 0.4
    layers: int = 1
    part: int = 131_072

    name: ClassVar[str] = "default"
    version: ClassVar[int] = 1
    kinds: ClassVar[frozenset[str]] = frozenset({"PARM", "BASE", "BAND"})

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"renderer"}) if self.renders else frozenset()

    @property
    def step(self) -> float:
        """Root of the picture error (per pixel and channel) that all coded parameters may cause, times sqrt 12."""
        # Steps of the dial are larger at both ends: it reaches from previews to what 8-bit pictures hardly tell apart.
        ends = 8 * max((self.quality - 60) / 40, 0) ** 2 - 4 * max((20 - self.quality) / 20, 0) ** 2
        decibel = 26 + 0.28 * self.quality + ends
        return float(np.sqrt(12 * 10 ** (-decibel / 10)))

    def encode(self, scene: Scene, ctx: Context) -> Iterator[Chunk]:
        yield from self.plan(scene, ctx).chunks()

    def plan(self, scene: Scene, ctx: Context) -> Plan:
        """Everything that is decided before coding; extra columns of the scene move along with its rows."""
        with one_thread():
            return self._plan(scene, ctx if self.renders else Context(seed=ctx.seed, log=ctx.log))

    def _plan(self, scene: Scene, ctx: Context) -> Plan:
        tune = self.tune if ctx.renderer is not None and ctx.cameras else 0.0
        step = self.step / np.sqrt(max(len(scene), 1) * PARAMETERS)
        kept, importance = self._reduced(scene, ctx, step)
        layers = self.layers
        while layers > 1 and len(kept) < FEWEST * 4 ** (layers - 2):
            layers -= 1
        plan = Plan.make(kept.splats, importance, step, diffusion=self.diffusion, part=self.part, layers=layers)
        if tune and len(kept):
            return tuned(plan, scene, kept, ctx, step, tune)
        if self.settle and ctx.renderer is not None and ctx.cameras and len(kept):
            plan = settled(plan, scene, glance(ctx), step, self.settle)
        return plan

    def _reduced(self, scene: Scene, ctx: Context, step: float) -> tuple[Scene, Importance]:
        """The Gaussians that stay and what they are worth. A search over qualities reuses those of one close by."""
        key = (NEARBY, "reduced", self.prune)
        if key in ctx.memo:
            of, quality, kept, importance = ctx.memo[key]
            if of is scene and abs(quality - self.quality) <= (_CLOSE_TUNED if self.tune else _CLOSE):
                return kept, importance
        some = glance(ctx)
        kept, felt = prune(scene, some, self.prune * step**2)
        importance = assess(kept, some, felt)
        ctx.memo[key] = (scene, self.quality, kept, importance)
        return kept, importance

    def decode(self, chunks: Iterable[Chunk]) -> Iterator[Scene]:
        parts: list[Part] = []
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for shared, kind, streams in _levels(chunks):
                if kind == "BASE":
                    parts += pool.map(Part.decode, streams, [shared] * len(streams))
                else:
                    _matching(streams, parts)
                    list(pool.map(Part.refine, parts, streams))
                splats = [part.splats for part in parts]
                yield Scene(splats[0] if len(splats) == 1 else Splats.joined(splats))

    def decode_whole(self, chunks: Iterable[Chunk]) -> Scene:
        """The last scene of ``decode`` in less time: geometry and colour of every part side by side, joined in
        place."""
        bases: list[Mapping[str, bytes]] = []
        bands: list[list[Mapping[str, bytes]]] = []
        shared: Shared | None = None
        for given, kind, streams in _levels(chunks):
            shared = given
            if kind == "BASE":
                bases += streams
            else:
                _matching(streams, bases)
                bands.append(streams)
        if shared is None:
            raise UnreadableError("the file holds no scene")
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            skeletons = list(pool.map(Skeleton.decode, bases, [shared] * len(bases)))
            ends = np.cumsum([len(skeleton) for skeleton in skeletons])
            whole = blank(int(ends[-1]), shared.sh_columns)
            work: list[Future[Any]] = []
            for i, (skeleton, end) in enumerate(zip(skeletons, ends.tolist(), strict=True)):
                room = window(whole, slice(end - len(skeleton), end))
                work.append(pool.submit(skeleton.geometry, bases[i], room))
                work.append(pool.submit(skeleton.colour, [band[i] for band in bands], room))
            for done in work:
                done.result()
        return Scene(whole)


def _levels(chunks: Iterable[Chunk]) -> Iterator[tuple[Shared, str, list[Mapping[str, bytes]]]]:
    """Level after level: the parameters, "BASE" or "BAND", and the streams of its parts. Raises UnreadableError."""
    shared: Shared | None = None
    for level, group in _by_level(chunks):
        kinds = {chunk.kind for chunk in group}
        streams = [chunk.streams for chunk in group]
        if shared is None:
            shared = _read_shared(group)
            streams, kinds = streams[1:], kinds - {"PARM"}
        if len(kinds) != 1 or "PARM" in kinds:
            raise UnreadableError(f"level {level} mixes chunks of different kinds: the file is corrupt")
        yield shared, kinds.pop(), streams


def _matching(streams: list[Mapping[str, bytes]], parts: Sequence[object]) -> None:
    if len(streams) != len(parts):
        raise UnreadableError(f"a level of colour has {len(streams)} parts for {len(parts)}: the file is corrupt")


def _by_level(chunks: Iterable[Chunk]) -> Iterator[tuple[int, list[Chunk]]]:
    """Chunks of one level together; only as many levels as are complete reach a codec."""
    level, group = 0, list[Chunk]()
    for chunk in chunks:
        if chunk.level != level:
            yield level, group
            level, group = chunk.level, []
        group.append(chunk)
    if group:
        yield level, group


def _read_shared(group: list[Chunk]) -> Shared:
    if len(group) < 2 or group[0].kind != "PARM":
        raise UnreadableError("the base level lacks its parameters or its parts: the file is corrupt")
    return Shared.unpack(group[0].streams)


DEFAULT = Recipe(
    "default", "precision where renders need it; a few seconds per 100k Gaussians", (Clean(),), DefaultCodec()
)
SMALL = Recipe(
    "small",
    "default with a minute of tuning against the original's renders",
    (Clean(),),
    DefaultCodec(prune=3.0, tune=60.0),
)
PROGRESSIVE = Recipe(
    "progressive",
    "default in up to three layers of importance, for streaming: every level shows the whole scene",
    (Clean(),),
    DefaultCodec(layers=3),
)
FAST = Recipe(
    "fast", "the same without looking at renders: a second per 100k", (Clean(),), DefaultCodec(renders=False, prune=0.0)
)
