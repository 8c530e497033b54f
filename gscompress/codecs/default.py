"""Our own codec for a trained scene: every Gaussian gets the precision that the picture needs of it.

    means ─ tree of splits ─ bits below the leaves            ┐ steps: base x 2^class per Gaussian,
    scales, rotation, opacity ─ domains with even sensitivity ├ classes from rendering sensitivities,
    DC ─ luma, chroma      SH ─ basis fitted to the scene     ┘ sent once per Gaussian
    symbols ─ contexts from neighbours and earlier streams ─ logistic mixing ─ rANS

Levels: the base holds everything but higher SH, three bands of SH coefficients follow in order of energy. Scenes above
``part`` Gaussians are cut into spatial parts that are coded side by side.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from gscompress.codecs import colour, positions
from gscompress.codecs.base import Codec
from gscompress.codecs.colour import LUMA_CHROMA, Basis
from gscompress.codecs.geometry import Classes
from gscompress.codecs.importance import Importance, assess
from gscompress.codecs.part import Part, Shared, encode_bands, encode_base
from gscompress.codecs.positions import Box
from gscompress.codecs.pruning import prune
from gscompress.codecs.steps import CLASSES, Steps
from gscompress.container.chunk import Chunk
from gscompress.context import Context
from gscompress.errors import UnreadableError
from gscompress.quant.diffusion import diffuse
from gscompress.quant.rotation import sort_axes
from gscompress.recipe import Recipe
from gscompress.scene import Scene, Splats
from gscompress.transforms.clean import Clean

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
# log2 of each attribute's step relative to the mean shape (or colour) step: equal slopes, measured on trained scenes.
_RELATIVE = {"scale": -1.14, "opacity": -1.03, "turn": 0.67, "position": -0.23, "dc": 0.0, "sh": -0.25}
_PARAMETERS = 90.0  # effective parameters per Gaussian that share the picture's error
_MIDDLE = 3  # class of the typical Gaussian


@dataclass(frozen=True)
class DefaultCodec(Codec):
    """quality: 0 to 100; about 26 + 0.28 x quality dB against the original's renders.

    renders: judge by renders (when the Context has a renderer) rather than by opacity and size.
    prune: drop Gaussians that cost more bits than their removal costs picture, times this factor; 0 keeps all.
    diffusion: share of an SH coefficient's rounding error that the next Gaussian makes up for.
    part: most Gaussians that are coded as one unit.
    """

    quality: float = 50.0
    renders: bool = True
    prune: float = 0.6
    diffusion: float = 0.4
    part: int = 200_000

    name: ClassVar[str] = "default"
    version: ClassVar[int] = 1
    kinds: ClassVar[frozenset[str]] = frozenset({"PARM", "BASE", "BAND"})

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"renderer"}) if self.renders else frozenset()

    @property
    def step(self) -> float:
        """Root of the picture error (per pixel and channel) that one coded parameter may cause, times sqrt 12."""
        return float(np.sqrt(12 * 10 ** (-(26 + 0.28 * self.quality) / 10)))

    def encode(self, scene: Scene, ctx: Context) -> Iterator[Chunk]:
        ctx = ctx if self.renders else Context(seed=ctx.seed, log=ctx.log)
        step = self.step / np.sqrt(max(len(scene), 1) * _PARAMETERS)
        scene = prune(scene, ctx, self.prune * step**2)
        importance = assess(scene, ctx)
        shared, splats, classes, symbols = self._plan(scene.splats, importance, step)
        slices = _slices(len(splats), self.part)
        yield Chunk("PARM", 0, shared.pack())
        chosen = [Classes(classes.shape[rows], classes.colour[rows]) for rows in slices]
        with ThreadPoolExecutor() as pool:
            bases = list(pool.map(lambda a: encode_base(splats.take(a[0]), a[1], shared), zip(slices, chosen)))
            bands = list(
                pool.map(lambda a: encode_bands(symbols[a[0]], a[1], a[2][1], shared), zip(slices, chosen, bases))
            )
        for streams, _ in bases:
            yield Chunk("BASE", 0, streams)
        for level in range(len(colour.bands(shared.sh_columns))):
            for part in bands:
                yield Chunk("BAND", level + 1, part[level])

    def decode(self, chunks: Iterable[Chunk]) -> Iterator[Scene]:
        parts: list[Part] = []
        with ThreadPoolExecutor() as pool:
            for level, group in _by_level(chunks):
                if level == 0:
                    shared = _read_shared(group)
                    parts = list(pool.map(Part.decode, [c.streams for c in group[1:]], [shared] * (len(group) - 1)))
                else:
                    if len(group) != len(parts):
                        raise UnreadableError(f"level {level} has {len(group)} parts, the base {len(parts)}")
                    list(pool.map(Part.refine, parts, [c.streams for c in group]))
                yield Scene(_joined([part.finished() for part in parts]))

    def _plan(self, splats: Splats, importance: Importance, step: float) -> tuple[Shared, Splats, Classes, I64]:
        """Everything that is decided before coding; rows in the order of the file."""
        box = Box.around(splats.means)
        order = positions.order(box, splats.means)
        splats = Splats(
            splats.means[order],
            splats.log_scales[order],
            splats.quats[order],
            splats.logit_opacities[order],
            splats.sh[order],
        )
        shape, shape_base = _classes(importance.shape[order])
        colours, colour_base = _classes(importance.colour[order])
        classes = Classes(shape, colours)
        bases = {
            name: float(step * 2.0 ** (_RELATIVE[name] + (colour_base if name in ("dc", "sh") else shape_base)))
            for name in _RELATIVE
        }
        log_scales, _ = sort_axes(splats.log_scales, splats.quats)
        widest = log_scales[:, 0] if len(splats) else np.zeros(1)
        dc = splats.sh[:, 0] @ LUMA_CHROMA.T if len(splats) else np.zeros((1, 3))
        steps = Steps(
            **{name: max(value, 1e-9) for name, value in bases.items()},
            blur=importance.blur,
            scale_offset=float(np.round(np.median(widest), 3)),
            dc_offset=tuple(float(v) for v in np.round(np.median(dc, axis=0), 3)),  # type: ignore[arg-type]
        )
        higher = splats.sh[:, 1:]
        columns = higher.shape[1] * 3
        sh_step = steps.of("sh", classes.colour)
        basis = Basis.fit(higher, 1 / sh_step**2) if columns else Basis.plain(0)
        scaled = basis.analyse(higher) / sh_step[:, None]
        symbols = diffuse(np.ascontiguousarray(scaled), self.diffusion)
        return Shared(box, steps, basis, columns), splats, classes, symbols


def _classes(importance: F64) -> tuple[I64, float]:
    """Octave classes (N,), and log2 of the step at class 0 in units of the overall step."""
    if not len(importance):
        return np.zeros(0, np.int64), 0.0
    base = -float(np.median(importance)) - _MIDDLE
    return np.clip(np.round(-importance - base), 0, CLASSES - 1).astype(np.int64), base


def _slices(rows: int, most: int) -> list[npt.NDArray[np.intp]]:
    """Rows cut into equal runs of at most ``most``."""
    return np.array_split(np.arange(rows), max(1, -(-rows // max(most, 1))))


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


def _joined(parts: list[Splats]) -> Splats:
    if len(parts) == 1:
        return parts[0]
    return Splats(
        means=np.concatenate([p.means for p in parts]),
        log_scales=np.concatenate([p.log_scales for p in parts]),
        quats=np.concatenate([p.quats for p in parts]),
        logit_opacities=np.concatenate([p.logit_opacities for p in parts]),
        sh=np.concatenate([p.sh for p in parts]),
    )


DEFAULT = Recipe(
    "default", "precision where renders need it; a few seconds per 100k Gaussians", (Clean(),), DefaultCodec()
)
FAST = Recipe(
    "fast", "the same without looking at renders: a second per 100k", (Clean(),), DefaultCodec(renders=False, prune=0.0)
)
