"""Which Gaussian of the next frame is which of this one, when nobody says: motion and matching in turns.

Iterated closest points (Besl and McKay 1992) on position and looks: the motion of the whole, expected to go on as it
was, then that of a graph of nodes; matches are kept where both sides choose each other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gscompress.scene import Scene
from gscompress.sequence import is_tracked
from gscompress.stream.fit import applied, node_motions, undone, whole_motion
from gscompress.stream.graph import build
from gscompress.stream.nearest import nearest

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
_WHOLE_ROUNDS, _NODE_ROUNDS, _PAIRING_ROUNDS = 25, 4, 4
_SETTLED = 0.02  # of the distance between neighbours: smaller steps of the whole end its search
_PER_NODE = 256
_FEWEST = 8  # Gaussians that can be told apart by where they are
_SAMPLE = 12_000  # Gaussians that the search for the whole's motion looks at
_TOO_FAR = 4.0  # distances between neighbours beyond which two Gaussians are not the same
_LOOKS = np.array(
    [0.5, 0.5, 0.5, 0.4, 0.35, 0.35, 0.35]
)  # difference of ln scales, opacity and DC that weighs like one


@dataclass(frozen=True, slots=True)
class Matches:
    """of: (M,) for every Gaussian of the new frame its row in the frame before, -1 for none. motion: (7,) of the
    whole. share: of the new frame's Gaussians that have a match."""

    of: I64
    motion: F64
    share: float


def match(before: Scene, after: Scene, motion: F64 | None = None) -> Matches:
    """Rows that belong together. motion: of the whole from the frame before the last to the last, if known."""
    motion = np.zeros(7) if motion is None else motion
    if is_tracked(before, after):
        return Matches(np.arange(len(after)), motion, 1.0)
    if min(len(before), len(after)) < _FEWEST:
        return Matches(np.full(len(after), -1), motion, 0.0)
    old, new = before.splats.means.astype(np.float64), after.splats.means.astype(np.float64)
    looks_old, looks_new = _looks(before), _looks(after)
    looks_new = looks_new - (np.median(looks_new, axis=0) - np.median(looks_old, axis=0))
    gap = _gap(new)
    motion = _whole(old, new, looks_old * gap, looks_new * gap, motion, gap)
    graph, nodes = build(old, _PER_NODE), np.zeros((0, 7))
    nodes = np.zeros((len(graph), 7))
    moved, _ = applied(old, graph, nodes, motion)
    for _ in range(_NODE_ROUNDS if len(graph) else 0):
        which, cost = nearest(new, moved, looks_new * gap, looks_old * gap)
        sure = (which >= 0) & (cost < (2 * gap) ** 2)
        if np.count_nonzero(sure) < 16 or np.median(cost[sure]) < (_SETTLED * gap) ** 2:
            break
        aims, weights = undone(new[np.maximum(which, 0)], motion), sure / (1 + cost / gap**2)
        nodes = node_motions(old, np.where(sure[:, None], aims, old), np.where(sure, weights, 1e-6), graph)
        moved, _ = applied(old, graph, nodes, motion)
    of = _paired(moved, new, looks_old * gap, looks_new * gap, (_TOO_FAR * gap) ** 2)
    return Matches(of, motion, float(np.mean(of >= 0)))


def _whole(old: F64, new: F64, looks_old: F64, looks_new: F64, motion: F64, gap: float) -> F64:
    """The motion of the whole: nearest points and a robust fit in turns, from the motion expected, from none, and from
    what the moments say; whatever ends closest."""
    some = old[:: max(1, len(old) // _SAMPLE)]
    looks = looks_old[:: max(1, len(old) // _SAMPLE)]
    best, least = np.zeros(7), np.inf
    for start in _starts(old, new, motion):
        now = start
        moved, _ = applied(some, None, np.zeros((0, 7)), now)
        for _ in range(_WHOLE_ROUNDS):
            which, cost = nearest(new, moved, looks_new, looks)
            found = which >= 0
            if np.count_nonzero(found) < 16:
                break
            close = found & (cost <= np.quantile(cost[found], 0.8))
            now = whole_motion(some[close], new[which[close]], np.ones(int(close.sum())))
            before, (moved, _) = moved, applied(some, None, np.zeros((0, 7)), now)
            if np.abs(moved - before).max() < _SETTLED * gap:
                break
        which, cost = nearest(new, moved, looks_new, looks)
        off = float(np.mean(np.minimum(cost, (2 * gap) ** 2)))
        if off < least:
            best, least = now, off
    return best


def _starts(old: F64, new: F64, motion: F64) -> list[F64]:
    """Motions to start from. Moments: centroids, spreads and principal axes of both clouds brought to agree, the axes'
    signs such that the turn is least; exact when nothing but the whole moves."""
    starts = [motion]
    if motion.any():
        starts.append(np.zeros(7))
    centres = old.mean(0), new.mean(0)
    spreads = [np.linalg.eigh(np.cov((points - c).T)) for points, c in zip((old, new), centres)]
    (size_old, axes_old), (size_new, axes_new) = spreads
    signs = np.array([[a, b, c] for a in (1, -1) for b in (1, -1) for c in (1, -1)])
    turns = np.einsum("ik,sk,jk->sij", axes_new, signs, axes_old)
    turns = turns[np.linalg.det(turns) > 0]
    turn = turns[np.argmax(np.einsum("kii->k", turns))]
    twice = 1 + np.trace(turn)
    if twice > 0.5 and size_old.sum() > 0 and size_new.sum() > 0:
        by_moments = np.zeros(7)
        skew = [turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1]]
        by_moments[:3] = np.array(skew) / twice
        by_moments[3] = 0.5 * np.log(size_new.sum() / size_old.sum())
        landed, _ = applied(centres[0][None], None, np.zeros((0, 7)), by_moments)
        by_moments[4:] = centres[1] - landed[0]
        starts.append(by_moments)
    return starts


def _paired(moved: F64, new: F64, looks_old: F64, looks_new: F64, limit: float) -> I64:
    """(M,) row of ``moved`` for every row of ``new`` where each is the other's choice; what is left chooses again."""
    of = np.full(len(new), -1)
    left_old, left_new = np.arange(len(moved)), np.arange(len(new))
    for _ in range(_PAIRING_ROUNDS):
        if not len(left_old) or not len(left_new):
            break
        there, cost = nearest(new[left_new], moved[left_old], looks_new[left_new], looks_old[left_old])
        back, _ = nearest(moved[left_old], new[left_new], looks_old[left_old], looks_new[left_new])
        mutual = (there >= 0) & (cost < limit)
        mutual[mutual] = back[there[mutual]] == np.flatnonzero(mutual)
        if not mutual.any():
            break
        of[left_new[there[mutual]]] = left_old[mutual]
        left_old, left_new = left_old[~mutual], left_new[of[left_new] < 0]
    return of


def _gap(points: F64) -> float:
    """Typical distance between neighbours: the median over a sample, to the nearest point that is not in it."""
    rows = np.arange(0, len(points), max(4, len(points) // 2000))
    others = np.delete(np.arange(len(points)), rows)
    none = np.zeros((len(points), 0))
    _, cost = nearest(points[others], points[rows], none[others], none[rows])
    found = cost[np.isfinite(cost) & (cost > 0)]
    return float(np.sqrt(np.median(found))) if len(found) else max(float(np.ptp(points)), 1e-6)


def _looks(scene: Scene) -> F64:
    """(N, 7) descending ln scales, ln opacity and DC, in units of _LOOKS."""
    splats = scene.splats
    scales = -np.sort(-splats.log_scales.astype(np.float64), axis=1)
    opacity = -np.logaddexp(0.0, -splats.logit_opacities.astype(np.float64))
    return np.column_stack([scales, opacity, splats.sh[:, 0]]) / _LOOKS
