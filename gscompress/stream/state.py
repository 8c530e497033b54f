"""The frame that a decoder has, in the domains in which residuals are coded. Nothing in it is ever mutated."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from gscompress.codecs.colour import LUMA_CHROMA
from gscompress.codecs.geometry import LEAST, Classes
from gscompress.codecs.part import Shared
from gscompress.codecs.steps import Steps
from gscompress.quant.exact_blocks import log_opacities_to_logits, sharpen
from gscompress.scene import Scene, Splats
from gscompress.stream.exact_rows import logits_to_log_opacities, move, thinnest, widen
from gscompress.stream.graph import Graph, attach, build
from gscompress.stream.keyframe import Key

F64 = npt.NDArray[np.float64]
F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]
NODE, MOST_NODES = 80, 512
"""Gaussians per node of the motion graph, and the most nodes."""
_DEEPEST = 60.0  # largest |ln| of a scale or an opacity: what is beyond is corrupt


@dataclass(frozen=True, slots=True)
class Change:
    """What happens to all Gaussians alike. whole: (7,) motion (see ``exact_rows.move``). nodes: (K, 7).

    fade: (5,) added to ln scale, -ln opacity and the three colour coefficients.
    """

    whole: F64
    nodes: F64
    fade: F64

    @staticmethod
    def none(nodes: int) -> Change:
        return Change(np.zeros(7), np.zeros((nodes, 7)), np.zeros(5))


@dataclass(frozen=True, slots=True)
class State:
    """means (N, 3), widened ln scales (N, 3), quats (N, 4) unit wxyz, t = -ln opacity (N,), luma and chroma (N, 3).

    sh: (N, n) float32 higher coefficients as in ``Splats.sh[:, 1:]``, flattened. classes: precision of every row.
    grain: (N,) step of a coordinate in scene units, so many standard deviations of the thinnest axis when the row came:
    what a shift does to the picture does not depend on size, so growth leaves it alone.
    near: (N, 4) earlier rows. marks: (N,) which groups of the row changed last time. graph: of the motion;
    velocity: (K, 7) moves of its nodes last time.
    """

    shared: Shared
    means: F64
    widened: F64
    quats: F64
    t: F64
    colour: F64
    sh: F32
    grain: F64
    classes: Classes
    near: npt.NDArray[np.int32]
    marks: npt.NDArray[np.uint16]
    graph: Graph
    velocity: F64

    def __len__(self) -> int:
        return len(self.means)

    @staticmethod
    def of(key: Key) -> State:
        with ThreadPoolExecutor(1) as pool:
            means = key.splats.means.astype(np.float64)
            graph = pool.submit(build, means, max(NODE, -(-len(means) // MOST_NODES)))
            rows = _rows(key)
            return State(key.shared, **rows, graph=graph.result(), velocity=np.zeros((len(graph.result()), 7)))

    def moved(self, change: Change) -> State:
        """Where everything is expected after a change; the graph's nodes go along."""
        graph = self.graph
        means, quats, growth = move(
            self.means, self.quats, graph.nearest, graph.weights, graph.centres, change.nodes, change.whole
        )
        centres = graph.centres
        if len(graph):
            still, unit = np.zeros((0, 7)), np.zeros((len(centres), 4))
            shifted = centres + change.nodes[:, 4:]
            empty = np.zeros((len(centres), 0))
            centres, _, _ = move(shifted, unit, empty.astype(np.int32), empty, np.zeros((0, 3)), still, change.whole)
        return replace(
            self,
            means=means,
            quats=quats,
            widened=np.clip(self.widened + (growth + change.fade[0])[:, None], -_DEEPEST, _DEEPEST),
            t=np.clip(self.t + change.fade[1], 0.0, _DEEPEST) if change.fade[1] else self.t,
            colour=self.colour + change.fade[2:] if change.fade[2:].any() else self.colour,
            graph=replace(graph, centres=centres),
            velocity=change.nodes,
        )

    def with_precision(self, steps: Steps, classes: Classes) -> State:
        """The same Gaussians in other steps."""
        grain = steps.of("position", classes.shape) * thinnest(self.widened)
        return replace(self, shared=replace(self.shared, steps=steps), classes=classes, grain=grain)

    def kept(self, rows: Any) -> State:
        """Some rows only (mask or indices in ascending order)."""
        where = np.full(len(self) + 1, -1, np.int32)
        indices = np.arange(len(self))[rows]
        where[indices] = np.arange(len(indices))
        names = ("means", "widened", "quats", "t", "colour", "sh", "grain", "marks")
        graph = replace(self.graph, nearest=self.graph.nearest[rows], weights=self.graph.weights[rows])
        classes = Classes(self.classes.shape[rows], self.classes.colour[rows])
        parts: dict[str, Any] = {name: getattr(self, name)[rows] for name in names}
        return replace(self, **parts, graph=graph, classes=classes, near=where[self.near[rows]])

    def with_rows(self, key: Key) -> State:
        """Decoded further Gaussians behind the present ones."""
        rows = _rows(key)
        graph = self.graph
        nearest, weights = attach(graph, rows["means"])
        near = np.where(key.near >= 0, key.near + len(self), -1).astype(np.int32)
        names = ("means", "widened", "quats", "t", "colour", "sh", "grain", "marks")
        new: dict[str, Any] = {name: np.concatenate([getattr(self, name), rows[name]]) for name in names}
        return replace(
            self,
            **new,
            near=np.concatenate([self.near, near]),
            classes=Classes(
                np.concatenate([self.classes.shape, key.classes.shape]),
                np.concatenate([self.classes.colour, key.classes.colour]),
            ),
            graph=replace(
                graph,
                nearest=np.concatenate([graph.nearest, nearest]),
                weights=np.concatenate([graph.weights, weights]),
            ),
        )

    def scene(self, memo: dict[str, Any] | None = None) -> Scene:
        """The frame as anyone else knows scenes. memo: what an earlier frame's scene may share with this one."""
        memo = {} if memo is None else memo
        colour = _kept(memo, "colour", (self.colour, self.sh), lambda: _coefficients(self.colour, self.sh))
        opacity = _kept(memo, "opacity", (self.t,), lambda: _logits(self.t))
        return Scene(
            Splats(
                self.means.astype(np.float32),
                _sharpened(self.widened, self.shared.steps.blur),
                self.quats.astype(np.float32),
                opacity,
                colour,
            )
        )


def _kept(memo: dict[str, Any], name: str, made_of: tuple[Any, ...], make: Callable[[], Any]) -> Any:
    """What was made of the same arrays before (arrays never change), or made now."""
    known = memo.get(name)
    if known is None or any(a is not b for a, b in zip(known[0], made_of)):
        memo[name] = known = made_of, make()
    return known[1]


def _coefficients(colour: F64, sh: F32) -> F32:
    """SH (N, K, 3)."""
    dc = rgb(colour).astype(np.float32)
    return np.concatenate([dc, sh], axis=1).reshape(len(dc), sh.shape[1] // 3 + 1, 3)


def _sharpened(widened: F64, blur: float) -> F32:
    out = np.empty(widened.shape, np.float32)
    sharpen(widened, blur, out)
    return out


def _logits(t: F64) -> F32:
    out = np.empty(len(t), np.float32)
    log_opacities_to_logits(np.maximum(t, LEAST), out)
    return out


def rgb(colour: F64) -> F64:
    """Luma and chroma (N, 3) to RGB coefficients, term by term: no machine may sum in another order."""
    m = LUMA_CHROMA
    luma, rb, gm = colour.T
    return np.stack([luma * m[0, c] + rb * m[1, c] + gm * m[2, c] for c in range(3)], 1)


def luma_chroma(dc: npt.NDArray[Any]) -> F64:
    """RGB coefficients (N, 3) to luma and chroma."""
    m = LUMA_CHROMA
    r, g, b = np.asarray(dc, np.float64).T
    return np.stack([r * m[k, 0] + g * m[k, 1] + b * m[k, 2] for k in range(3)], 1)


def _rows(key: Key) -> dict[str, Any]:
    splats = key.splats
    n = len(splats)
    widened = widen(splats.log_scales, key.shared.steps.blur)
    return {
        "means": splats.means.astype(np.float64),
        "widened": widened,
        "quats": splats.quats.astype(np.float64),
        "t": logits_to_log_opacities(splats.logit_opacities),
        "colour": luma_chroma(splats.sh[:, 0]),
        "sh": splats.sh[:, 1:].reshape(n, splats.sh.shape[1] * 3 - 3),
        "grain": key.shared.steps.of("position", key.classes.shape) * thinnest(widened),
        "classes": key.classes,
        "near": key.near,
        "marks": np.zeros(n, np.uint16),
    }
