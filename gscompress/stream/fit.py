"""The motion that explains a new frame best: of the whole, then of the graph's nodes, by weighted least squares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gscompress.stream.exact_rows import move
from gscompress.stream.graph import Graph

F64 = npt.NDArray[np.float64]
_ROUNDS = 3  # of robust weights for the whole, and of refits of the nodes
_STIFF = 0.02  # how strongly a node holds on to not turning, relative to its Gaussians' spread


@dataclass(frozen=True, slots=True)
class Moments:
    """Weighted centroids (K, 3) of where points were and are, their cross moments (K, 3, 3), and spread (K,)."""

    before: F64
    after: F64
    cross: F64
    spread: F64


def whole_motion(means: F64, target: F64, weights: F64) -> F64:
    """(7,) the similarity that takes means (N, 3) to target best (Umeyama 1991, outliers weighed down); zeros when
    standing still explains it as well."""
    moved, motion = means, np.zeros(7)
    if len(means) < 4:
        return motion
    for _ in range(_ROUNDS):
        off = np.linalg.norm(target - moved, axis=1)
        robust = weights / (1 + (off / max(2.5 * float(np.median(off)), 1e-12)) ** 2)
        one = np.zeros((len(means), 1), np.int64)
        moments = _moments(means, target, one, robust[:, None], 1)
        motion = np.zeros(7)
        motion[:4] = _turns(moments, 0.0)[0]
        origin, _ = applied(moments.before, None, np.zeros((0, 7)), motion)
        motion[4:] = moments.after[0] - origin[0]
        moved, _ = applied(means, None, np.zeros((0, 7)), motion)
    motion = motion.astype(np.float32).astype(np.float64)
    moved, _ = applied(means, None, np.zeros((0, 7)), motion)
    still, now = (np.median(np.linalg.norm(target - m, axis=1)) for m in (means, moved))
    return motion if now < 0.9 * still else np.zeros(7)


def node_motions(means: F64, target: F64, weights: F64, graph: Graph) -> F64:
    """(K, 7) motions of the nodes such that their blend takes means to target; each is refitted to what the others
    leave."""
    moves = np.zeros((len(graph), 7))
    pull = graph.weights * weights[:, None]
    for _ in range(_ROUNDS):
        blended, _ = applied(means, graph, moves, np.zeros(7))
        rest = target - blended
        moves = _refit(means, rest, pull, graph, moves)
    return moves


def applied(means: F64, graph: Graph | None, nodes: F64, whole: F64) -> tuple[F64, F64]:
    """Means after a motion, and growth (N,)."""
    n = len(means)
    quats = np.zeros((n, 4))
    if graph is None or not len(graph):
        none = np.zeros((n, 0))
        moved, _, growth = move(means, quats, none.astype(np.int32), none, np.zeros((0, 3)), np.zeros((0, 7)), whole)
    else:
        moved, _, growth = move(means, quats, graph.nearest, graph.weights, graph.centres, nodes, whole)
    return moved, growth


def undone(points: F64, motion: F64) -> F64:
    """Points before the motion of the whole. points: (N, 3), motion: (7,)."""
    g = motion[:3]
    away = (points - motion[4:]) * np.exp(-motion[3])
    cross = np.cross(-g, away)
    return away + 2 * (cross + np.cross(-g, cross)) / (1 + (g * g).sum())


def _refit(means: F64, rest: F64, pull: F64, graph: Graph, moves: F64) -> F64:
    """Each node's motion anew, from where it takes its Gaussians now plus what is missing there."""
    aims = np.empty((len(means), graph.nearest.shape[1], 3))
    for j in range(graph.nearest.shape[1]):
        nodes = graph.nearest[:, j]
        aims[:, j] = _one_each(means, graph.centres[nodes], moves[nodes]) + rest
    moments = _moments(means, aims, graph.nearest, pull, len(graph))
    out = np.zeros_like(moves)
    out[:, :4] = _turns(moments, _STIFF * graph.reach**2)
    landed = _one_each(moments.before, graph.centres, out)
    out[:, 4:] = moments.after - landed
    return out


def _one_each(points: F64, centres: F64, moves: F64) -> F64:
    """Row i moved by motion i about centre i."""
    g, away = moves[:, :3], points - centres
    length = 1 + (g * g).sum(1, keepdims=True)
    cross = np.cross(g, away)
    turned = away + 2 * (cross + np.cross(g, cross)) / length
    return centres + moves[:, 4:] + np.exp(moves[:, 3:4]) * turned


def _moments(before: F64, after: F64, nodes: npt.NDArray[Any], pull: F64, count: int) -> Moments:
    """Sums per node. after: (N, 3), or (N, J, 3) when it differs by influence. nodes, pull: (N, J)."""
    after = np.broadcast_to(after[:, None] if after.ndim == 2 else after, (*nodes.shape, 3))
    total, first, second = np.full(count, 1e-30), np.zeros((count, 3)), np.zeros((count, 3))
    cross, square = np.zeros((count, 3, 3)), np.zeros(count)

    def summed(values: F64, which: npt.NDArray[Any]) -> F64:
        return np.asarray(np.bincount(which, weights=values, minlength=count), np.float64)

    columns = range(nodes.shape[1])
    for j in columns:
        total += summed(pull[:, j], nodes[:, j])
        for k in range(3):
            first[:, k] += summed(pull[:, j] * before[:, k], nodes[:, j])
            second[:, k] += summed(pull[:, j] * after[:, j, k], nodes[:, j])
    first, second = first / total[:, None], second / total[:, None]
    for j in columns:
        which = nodes[:, j]
        a, b = before - first[which], after[:, j] - second[which]
        square += summed(pull[:, j] * (a * a).sum(1), which)
        for k in range(3):
            for m in range(3):
                cross[:, k, m] += summed(pull[:, j] * b[:, k] * a[:, m], which)
    return Moments(first, second, cross / total[:, None, None], square / total)


def _turns(moments: Moments, stiffness: float) -> F64:
    """(K, 4) Gibbs vector and ln of the growth that explain the cross moments (Kabsch, Umeyama)."""
    held = moments.cross + stiffness * np.eye(3)
    u, singular, vt = np.linalg.svd(held)
    signs = np.ones((len(u), 3))
    signs[:, 2] = np.sign(np.linalg.det(u @ vt))
    turn = (u * signs[:, None]) @ vt
    growth = ((singular * signs).sum(1)) / np.maximum(moments.spread + 3 * stiffness, 1e-30)
    twice = 1 + np.einsum("kii->k", turn)  # 4 cos^2 of half the angle
    g = np.stack([turn[:, 2, 1] - turn[:, 1, 2], turn[:, 0, 2] - turn[:, 2, 0], turn[:, 1, 0] - turn[:, 0, 1]], 1)
    gibbs = np.where(twice[:, None] > 1e-3, g / np.maximum(twice, 1e-3)[:, None], 0.0)
    return np.column_stack([gibbs, np.log(np.clip(growth, 0.25, 4.0))])
