"""Motion: fast kernels against obvious twins, and motions that are found again."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from moving_scenes import bent, shell, shuffled, turned

from gscompress.frame import quat_to_matrix, rotate_quats
from gscompress.scene import Scene
from gscompress.stream.exact_rows import INFLUENCES, logits_to_log_opacities, move, widen
from gscompress.stream.fit import applied, node_motions, undone, whole_motion
from gscompress.stream.graph import build
from gscompress.stream.nearest import nearest
from gscompress.stream.tracking import match

F64 = npt.NDArray[np.float64]


def matrix(gibbs: F64) -> F64:
    return quat_to_matrix(np.array([[1.0, *gibbs]]))[0]


@given(st.integers(1, 300), st.integers(1, 40), st.integers(0, 2), st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_nearest_is_what_comparing_all_finds(points: int, queries: int, features: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(points, 3)), rng.normal(size=(queries, 3))
    fa, fb = 0.1 * rng.normal(size=(points, features)), 0.1 * rng.normal(size=(queries, features))
    index, cost = nearest(a, b, fa, fb)
    every = ((b[:, None] - a) ** 2).sum(2) + ((fb[:, None] - fa) ** 2).sum(2)
    found = index >= 0
    assert np.allclose(cost[found], every[found, index[found]])
    assert np.allclose(cost[found], every[found].min(1))
    assert found.mean() > 0.4 or points < 10


def test_a_blend_of_motions_is_the_weighted_sum_of_each() -> None:
    rng = np.random.default_rng(0)
    means, quats = rng.normal(size=(900, 3)), rng.normal(size=(900, 4))
    quats /= np.linalg.norm(quats, axis=1, keepdims=True)
    graph = build(means, 100)
    moves, whole = 0.1 * rng.normal(size=(len(graph), 7)), 0.1 * rng.normal(size=7)
    moved, turned_quats, growth = move(means, quats, graph.nearest, graph.weights, graph.centres, moves, whole)
    for i in range(0, 900, 90):
        x = sum(
            w * (np.exp(moves[k, 3]) * matrix(moves[k, :3]) @ (means[i] - graph.centres[k]) + graph.centres[k])
            + w * moves[k, 4:]
            for k, w in zip(graph.nearest[i], graph.weights[i])
        )
        assert np.allclose(moved[i], np.exp(whole[3]) * matrix(whole[:3]) @ x + whole[4:])
        assert np.isclose(growth[i], (graph.weights[i] * moves[graph.nearest[i], 3]).sum() + whole[3])
    assert np.allclose(np.linalg.norm(turned_quats, axis=1), 1)
    alone, only_whole, _ = move(means, quats, graph.nearest, graph.weights, graph.centres, 0 * moves, whole)
    same = np.abs((only_whole * rotate_quats(quats, matrix(whole[:3]))).sum(1))
    assert np.allclose(same, 1, atol=1e-6)
    assert np.allclose(undone(alone, whole), means)


def test_the_graph_covers_everything_evenly() -> None:
    means = shell(3000).splats.means.astype(np.float64)
    graph = build(means, 100)
    assert len(graph) == 32
    assert np.allclose(graph.weights.sum(1), 1)
    assert (graph.weights > 0).all()
    assert ((means[:, None] - graph.centres[graph.nearest]) ** 2).sum(2).max() < 0.7
    first = ((means[:, None] - graph.centres) ** 2).sum(2).argsort(1, kind="stable")[:, :INFLUENCES]
    assert np.array_equal(graph.nearest, first)
    assert len(build(means[:50], 100)) == 0


def test_the_whole_motion_is_found_despite_outliers() -> None:
    means = shell(2000).splats.means.astype(np.float64)
    motion = np.array([0.1, -0.2, 0.05, 0.1, 0.3, -0.1, 0.2])
    target, _ = applied(means, None, np.zeros((0, 7)), motion)
    target[:200] += np.random.default_rng(0).normal(size=(200, 3))
    assert np.allclose(whole_motion(means, target, np.ones(2000)), motion, atol=0.02)
    assert not whole_motion(means, means, np.ones(2000)).any()


def test_nodes_explain_a_bend_ten_times_better_than_standing_still() -> None:
    scene = shell(4000)
    means, target = (s.splats.means.astype(np.float64) for s in (scene, bent(scene, 0.1)))
    graph = build(means, 100)
    fitted, _ = applied(means, graph, node_motions(means, target, np.ones(4000), graph), np.zeros(7))
    before, after = (np.sqrt(np.mean((target - m) ** 2)) for m in (means, fitted))
    assert after < before / 10


@pytest.mark.parametrize("angle", [0.02, 0.2])
def test_shuffled_rows_are_found_again(angle: float) -> None:
    scene = shell(3000)
    order = np.random.default_rng(1).permutation(3000)
    found = match(scene, shuffled(turned(scene, angle, 1.02, (0.1, 0, 0))))
    assert np.mean(found.of == order) > 0.99
    bending = match(scene, shuffled(bent(scene, 0.03)))
    assert np.mean(bending.of == order) > 0.97


def test_what_vanishes_and_what_appears_is_not_matched() -> None:
    scene = shell(3000)
    far = turned(shell(200, seed=5), 0, 0.2, (3, 0, 0))
    whole = Scene(
        type(scene.splats)(
            *(
                np.concatenate([getattr(scene.splats.take(slice(300, None)), n), getattr(far.splats, n)])
                for n in ("means", "log_scales", "quats", "logit_opacities", "sh")
            )
        )
    )
    found = match(scene, whole)
    assert np.array_equal(found.of[:2700], np.arange(300, 3000))
    assert (found.of[2700:] < 0).all()


def test_domains_of_the_codec_are_what_their_formulas_say() -> None:
    rng = np.random.default_rng(2)
    scales, logits = rng.normal(-4, 2, (50, 3)).astype(np.float32), rng.normal(0, 8, 50).astype(np.float32)
    assert np.allclose(widen(scales, 0.01), 0.5 * np.log(np.exp(2.0 * scales) + 1e-4), atol=1e-6)
    assert np.allclose(logits_to_log_opacities(logits), np.logaddexp(0, -logits.astype(np.float64)), atol=1e-9)
