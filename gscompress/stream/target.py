"""What a residual frame aims at: the source's Gaussians in the decoder's order and domains."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import permutations, product

import numpy as np
import numpy.typing as npt

from gscompress.frame import matrix_to_quat
from gscompress.scene import Splats
from gscompress.stream.exact_rows import logits_to_log_opacities, widen
from gscompress.stream.residual import Steps, Symbols
from gscompress.stream.state import State, luma_chroma

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
_ROUND = 0.02  # ln of an axis ratio below which a turn between the two axes shows nothing
_SH_ZONE = 1.6  # dead zones: key frames hand rounding errors of SH on, so theirs are larger than half a step
_TRIES = 4  # at the symbols of a turn
_TRIVIAL = 0.02  # of a step: below, a change of all alike is not told; above, a whole picture of it shows


def _half_turns() -> tuple[tuple[tuple[int, ...], F64], ...]:
    """The 24 ways to name the axes of an ellipsoid: (new axis k is old axis p[k]), and the turn as a quaternion."""
    out = []
    for p in permutations(range(3)):
        for signs in product((1.0, -1.0), repeat=3):
            matrix = np.zeros((3, 3))
            matrix[list(p), range(3)] = signs
            if np.linalg.det(matrix) > 0:
                out.append((p, matrix_to_quat(matrix[None])[0]))
    return tuple(out)


_NAMES = _half_turns()


@dataclass(frozen=True, slots=True)
class Target:
    """The fields of ``State`` that residuals can change."""

    means: F64
    widened: F64
    quats: F64
    t: F64
    colour: F64
    sh: F64

    @staticmethod
    def of(splats: Splats, state: State) -> Target:
        """splats: a row for each of the state's."""
        n = len(splats)
        length = np.maximum(np.linalg.norm(splats.quats, axis=1, keepdims=True), 1e-12)
        return Target(
            splats.means.astype(np.float64),
            widen(splats.log_scales, state.shared.steps.blur),
            splats.quats.astype(np.float64) / length,
            np.maximum(logits_to_log_opacities(splats.logit_opacities), 1e-4),
            luma_chroma(splats.sh[:, 0]),
            splats.sh[:, 1:].reshape(n, splats.sh.shape[1] * 3 - 3).astype(np.float64),
        )

    def fade(self, state: State, growth: F64) -> F64:
        """(5,) by how much ln scale, -ln opacity and colour of most rows change alike."""
        if not len(state):
            return np.zeros(5)
        steps = Steps.of(state)
        scales = np.sort(self.widened, axis=1) - np.sort(state.widened, axis=1) - growth[:, None]
        common = [np.median(scales), np.median(self.t - state.t), *np.median(self.colour - state.colour, axis=0)]
        least = [np.median(steps.shape[:, 0]), np.median(steps.shape[:, 6]), *([np.median(steps.colour)] * 3)]
        return np.where(np.abs(common) > _TRIVIAL * np.array(least), common, 0.0)

    def symbols(self, state: State, dead_zone: float) -> Symbols:
        """Differences from the prediction in steps; those within the dead zone are zero."""
        steps = Steps.of(state)
        widened, gibbs = self._like(state, steps)
        shape = np.column_stack([widened - state.widened, gibbs, self.t - state.t]) / steps.shape
        out = {
            "position": (self.means - state.means) / steps.position,
            "shape": shape,
            "colour": (self.colour - state.colour) / steps.colour,
        }
        if self.sh.shape[1]:
            basis, off = state.shared.basis, (self.sh - state.sh).astype(np.float32)
            out["sh"] = basis.analyse(off.reshape(len(off), off.shape[1] // 3, 3)) / steps.sh
        wide = {"sh": _SH_ZONE * dead_zone}
        rounded = {name: _rounded(values, wide.get(name, dead_zone)) for name, values in out.items()}
        rounded["shape"][:, 3:6] = _settled(gibbs, rounded["shape"][:, 3:6], steps.shape[:, 3:6], dead_zone, state)
        return rounded

    def _like(self, state: State, steps: Steps) -> tuple[F64, F64]:
        """Scales and turns (Gibbs vectors about own axes), with the axes named as the state names them."""
        turn = _difference(state.quats, self.quats)
        widened, gibbs = self.widened, _gibbs(turn, state.widened)
        cost = _cost(widened - state.widened, gibbs, steps)
        rows = np.flatnonzero(cost > 2.0)  # by far most rows are named alike
        if not len(rows):
            return widened, gibbs
        widened, gibbs = widened.copy(), gibbs.copy()
        some = replace(state, widened=state.widened[rows])
        few = Steps(steps.position[rows], steps.shape[rows], steps.colour[rows], steps.sh[rows])
        best = cost[rows]
        for names, quat in _NAMES:
            scales = self.widened[rows][:, list(names)]
            turned = _gibbs(_product(turn[rows], np.broadcast_to(quat, (len(rows), 4))), some.widened)
            cost = _cost(scales - some.widened, turned, few)
            better = cost < best
            best[better] = cost[better]
            widened[rows[better]], gibbs[rows[better]] = scales[better], turned[better]
        return widened, gibbs


def _rounded(values: F64, dead_zone: float) -> I64:
    return np.where(np.abs(values) < dead_zone, 0, np.floor(values + 0.5)).astype(np.int64)


def _settled(gibbs: F64, symbols: I64, steps: F64, dead_zone: float, state: State) -> I64:
    """Turns do not add up like numbers where one of them is large: try again with what is left, keep what is best."""
    rows = np.flatnonzero(symbols.any(axis=1))
    if not len(rows):
        return symbols
    aim = np.column_stack([np.ones(len(rows)), gibbs[rows]])
    step, widened, tried = steps[rows], state.widened[rows], symbols[rows]
    best, least = np.zeros_like(tried), ((gibbs[rows] / step) ** 2).sum(1)
    for _ in range(_TRIES):
        given = np.column_stack([np.ones(len(rows)), tried * step])
        left = _gibbs(_difference(given, aim), widened) / step
        better = (left**2).sum(1) < least
        best[better], least[better] = tried[better], (left[better] ** 2).sum(1)
        tried = tried + _rounded(left, dead_zone)
    out = symbols.copy()
    out[rows] = best
    return out


def _cost(scales: F64, gibbs: F64, steps: Steps) -> F64:
    return ((scales / steps.shape[:, :3]) ** 2).sum(1) + ((gibbs / steps.shape[:, 3:6]) ** 2).sum(1)


def _gibbs(turn: F64, widened: F64) -> F64:
    """Turns (N, 4) as Gibbs vectors (N, 3). A turn about an axis around which the ellipsoid is round shows nothing: it
    is taken off, so that only the tilt of that axis is left."""
    apart = np.abs(
        np.stack([widened[:, 1] - widened[:, 2], widened[:, 0] - widened[:, 2], widened[:, 0] - widened[:, 1]], 1)
    )
    spun = apart < _ROUND
    once = (spun.sum(1) == 1)[:, None]
    twist = np.column_stack([turn[:, 0], np.where(spun & once, turn[:, 1:], 0.0)])
    length = np.linalg.norm(twist, axis=1, keepdims=True)
    back = np.where(once & (length > 1e-6), twist / np.maximum(length, 1e-6), [1.0, 0, 0, 0])
    tilt = _product(turn, back * np.array([1.0, -1.0, -1.0, -1.0]))
    w = np.where(np.abs(tilt[:, :1]) < 1e-3, 1e-3, tilt[:, :1])
    return np.where(spun, 0.0, tilt[:, 1:] / w)


def _difference(before: F64, after: F64) -> F64:
    """(N, 4) the turn about own axes from one unit quaternion to the other."""
    return _product(before * np.array([1.0, -1.0, -1.0, -1.0]), after)


def _product(p: F64, q: F64) -> F64:
    a, b, c, d = p.T
    w, x, y, z = q.T
    return np.stack(
        [
            a * w - b * x - c * y - d * z,
            a * x + b * w + c * z - d * y,
            a * y - b * z + c * w + d * x,
            a * z + b * y - c * x + d * w,
        ],
        1,
    )
