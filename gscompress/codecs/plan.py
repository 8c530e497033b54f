"""From a scene and what its Gaussians are worth to the chunks of a default-codec file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from gscompress.codecs import colour, positions
from gscompress.codecs.colour import LUMA_CHROMA, Basis
from gscompress.codecs.geometry import Classes
from gscompress.codecs.importance import Importance
from gscompress.codecs.part import Shared, encode_bands, encode_base
from gscompress.codecs.positions import Box
from gscompress.codecs.steps import CLASSES, Steps
from gscompress.container.chunk import Chunk
from gscompress.quant.diffusion import diffuse
from gscompress.quant.rotation import sort_axes
from gscompress.scene import Splats

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
# log2 of each attribute's step relative to the mean shape (or colour) step: equal slopes, measured on trained scenes.
_RELATIVE = {"scale": -1.14, "opacity": -1.03, "turn": 0.67, "position": -0.23, "dc": 0.0, "sh": -0.25}
_MIDDLE = 3  # class of the typical Gaussian, or a finer one where more than this share would need steps below class 0
_OUTLIERS = 0.002


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that is decided before coding. splats and classes are in the order of the file.

    layers: for each count layer, most important first, its parts as slices of rows.
    """

    shared: Shared
    splats: Splats
    classes: Classes
    diffusion: float
    layers: tuple[tuple[slice, ...], ...]

    @staticmethod
    def make(
        splats: Splats, importance: Importance, step: float, *, diffusion: float, part: int, layers: int = 1
    ) -> Plan:
        """step: root of the picture error that one parameter may cause, times sqrt 12. part: most rows of a part."""
        box = Box.around(splats.means)
        layer = _layers(importance, layers)
        order = positions.order(box, splats.means)
        order = order[np.argsort(layer[order], kind="stable")]
        splats = splats.take(order)
        shape, shape_base = _classes(importance.shape[order])
        colours, colour_base = _classes(importance.colour[order])
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
        classes = Classes(shape, colours)
        higher = splats.sh[:, 1:]
        columns = higher.shape[1] * 3
        basis = Basis.fit(higher, 1 / steps.of("sh", classes.colour) ** 2) if columns else Basis.plain(0)
        cuts = _cuts(np.bincount(layer, minlength=layers), part)
        return Plan(Shared(box, steps, basis, columns), splats, classes, diffusion, cuts)

    def with_splats(self, splats: Splats) -> Plan:
        """The same plan for values that have moved since; rows are put in the order of the file again, by layer."""
        order = positions.order(self.shared.box, splats.means)
        starts = [layer[0].start for layer in self.layers]
        order = order[np.argsort(np.searchsorted(starts, order, side="right"), kind="stable")]
        classes = Classes(self.classes.shape[order], self.classes.colour[order])
        return replace(self, splats=splats.take(order), classes=classes)

    def chunks(self) -> Iterator[Chunk]:
        """The file, coarse first: parameters, the base of every part, layer by layer, then band after band of SH."""
        rows = [part for layer in self.layers for part in layer]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            coded = list(pool.map(self._coded, rows))
        yield Chunk("PARM", 0, self.shared.pack())
        bases = iter(coded)
        for level, layer in enumerate(self.layers):
            for _ in layer:
                yield Chunk("BASE", level, next(bases)[0])
        for band in range(len(colour.bands(self.shared.sh_columns))):
            for _, bands in coded:
                yield Chunk("BAND", len(self.layers) + band, bands[band])

    def _coded(self, rows: slice) -> tuple[dict[str, bytes], list[dict[str, bytes]]]:
        """One part: its base and its bands."""
        splats, classes = self.splats.take(rows), Classes(self.classes.shape[rows], self.classes.colour[rows])
        base, near = encode_base(splats, classes, self.shared)
        scaled = np.ascontiguousarray(self.shared.basis.analyse(splats.sh[:, 1:]))
        scaled /= self.shared.steps.of("sh", classes.colour)[:, None]
        symbols = diffuse(scaled, self.diffusion)
        del scaled
        return base, encode_bands(symbols, classes, near, self.shared)


def _classes(importance: F64) -> tuple[I64, float]:
    """Octave classes (N,), and log2 of the step at class 0 in units of the overall step."""
    if not len(importance):
        return np.zeros(0, np.int64), 0.0
    base = -max(float(np.median(importance)) + _MIDDLE, float(np.quantile(importance, 1 - _OUTLIERS)))
    return np.clip(np.round(-importance - base), 0, CLASSES - 1).astype(np.int64), base


def _layers(importance: Importance, layers: int) -> npt.NDArray[np.int64]:
    """(N,) which layer a Gaussian belongs to, by what it adds to the picture: the most important first, and few,
    so that a picture is there early; every layer holds twice as many as the one before."""
    rank = np.empty(len(importance.shape), np.int64)
    rank[np.argsort(-(importance.shape + importance.colour), kind="stable")] = np.arange(len(rank))
    ends = len(rank) * (2 ** np.arange(1, layers + 1) - 1) // (2**layers - 1)
    return np.searchsorted(ends, rank, side="right")


def _cuts(counts: npt.NDArray[Any], part: int) -> tuple[tuple[slice, ...], ...]:
    """Every layer's rows cut into equal runs of at most ``part``."""
    out, start = [], 0
    for count in counts:
        parts = max(1, -(-int(count) // max(part, 1)))
        parts += parts > 1 and parts % 2  # an even number keeps two cores busy
        edges = np.linspace(start, start + count, parts + 1).astype(int)
        out.append(tuple(slice(int(a), int(b)) for a, b in pairwise(edges)))
        start += int(count)
    return tuple(out)
