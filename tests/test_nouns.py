"""Axes, spherical harmonics, scenes and cameras: the conventions that everything else takes for granted."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from specimens import blob

from gscompress.camera import Camera, look_at
from gscompress.errors import UsageError
from gscompress.frame import RDF, RUB, RUF, Frame, matrix_to_quat, quat_to_matrix, rotate_quats
from gscompress.scene import Scene, Splats
from gscompress.sh import basis, degree_of, rotate_sh

FRAMES = ["".join(axes) for triple in itertools.product("RL", "UD", "FB") for axes in itertools.permutations(triple)]
unit = st.floats(-1, 1)
quats = st.tuples(unit, unit, unit, unit).filter(lambda q: np.linalg.norm(q) > 0.1)


def covariances(scene: Scene) -> npt.NDArray[np.float64]:
    """(N, 3, 3): what a Gaussian looks like, whatever its quaternion's sign or axis order."""
    rotation = quat_to_matrix(scene.splats.quats)
    return rotation @ (np.exp(2 * scene.splats.log_scales.astype(np.float64))[:, :, None] * np.swapaxes(rotation, 1, 2))


def test_there_are_48_frames_and_no_others() -> None:
    assert len({Frame(axes).axes for axes in FRAMES}) == 48
    assert Frame("rub") == RUB
    for nonsense in ("", "RU", "RUBD", "RRU", "RLU", "XYZ"):
        with pytest.raises(UsageError):
            Frame(nonsense)


def test_frames_mean_what_their_letters_say() -> None:
    up_in = {"RDF": [0, -1, 0], "RUB": [0, 1, 0], "RFU": [0, 0, 1]}
    for axes, up in up_in.items():
        np.testing.assert_array_equal(RUB.matrix_to(Frame(axes)) @ [0, 1, 0], up)
    assert RDF.right_handed
    assert not RUF.right_handed


@pytest.mark.parametrize("axes", FRAMES)
def test_a_turn_and_back_is_nothing_and_a_detour_is_no_detour(axes: str) -> None:
    frame = Frame(axes)
    np.testing.assert_array_equal(frame.matrix_to(RDF) @ RDF.matrix_to(frame), np.eye(3))
    np.testing.assert_array_equal(frame.matrix_to(RUF) @ RDF.matrix_to(frame), RDF.matrix_to(RUF))


@pytest.mark.parametrize("axes", ["RUB", "RFU", "RUF", "DBL", "FLU"])
def test_a_turned_scene_is_the_same_scene(axes: str) -> None:
    scene = blob(50, 3)
    turned = scene.in_frame(Frame(axes))
    matrix = RDF.matrix_to(Frame(axes))
    np.testing.assert_allclose(turned.splats.means, scene.splats.means @ matrix.T, atol=1e-6)
    np.testing.assert_allclose(covariances(turned), matrix @ covariances(scene) @ matrix.T, atol=1e-7)
    directions = np.random.default_rng(0).normal(size=(7, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    before = np.einsum("dk,nkc->ndc", basis(directions, 3), scene.splats.sh)
    after = np.einsum("dk,nkc->ndc", basis(directions @ matrix.T, 3), turned.splats.sh)
    np.testing.assert_allclose(after, before, atol=1e-5)
    assert turned.in_frame(Frame(axes)) is turned


@settings(max_examples=100, deadline=None)
@given(quats)
def test_quaternions_and_matrices_agree(quat: tuple[float, ...]) -> None:
    q = np.array([quat])
    matrix = quat_to_matrix(q)
    np.testing.assert_allclose(matrix[0] @ matrix[0].T, np.eye(3), atol=1e-12)
    assert np.linalg.det(matrix[0]) > 0
    back = matrix_to_quat(matrix)
    same = q / np.linalg.norm(q)
    np.testing.assert_allclose(abs((back * same).sum()), 1, atol=1e-12)
    assert back[0, 0] >= 0


def test_a_zero_quaternion_is_no_rotation() -> None:
    np.testing.assert_array_equal(quat_to_matrix(np.zeros((1, 4)))[0], np.eye(3))


def test_wxyz_turns_the_right_way() -> None:
    quarter = np.sqrt(0.5)
    np.testing.assert_allclose(
        quat_to_matrix(np.array([[quarter, 0, 0, quarter]]))[0] @ [1, 0, 0], [0, 1, 0], atol=1e-12
    )
    turn = quat_to_matrix(np.array([[quarter, quarter, 0, 0]]))[0]
    turned = rotate_quats(np.array([[1.0, 0, 0, 0]]), turn)
    np.testing.assert_allclose(quat_to_matrix(turned)[0], turn, atol=1e-6)


def test_the_basis_is_orthonormal_on_the_sphere() -> None:
    # A product quadrature that is exact for polynomials of degree 6.
    z, weights = np.polynomial.legendre.leggauss(8)
    angles = np.arange(16) * np.pi / 8
    ring = np.sqrt(1 - z**2)
    points = np.stack(
        np.broadcast_arrays(ring[:, None] * np.cos(angles), ring[:, None] * np.sin(angles), z[:, None]), -1
    )
    values = basis(points.reshape(-1, 3), 3)
    gram = (values * np.repeat(weights * np.pi / 8, 16)[:, None]).T @ values
    np.testing.assert_allclose(gram, np.eye(16), atol=1e-9)


def test_the_signs_are_those_of_3dgs() -> None:
    x, y, z = np.eye(3)
    c1 = 0.4886025119029199
    np.testing.assert_allclose(basis(y[None], 1)[0, 1:], [-c1, 0, 0])
    np.testing.assert_allclose(basis(z[None], 1)[0, 1:], [0, c1, 0])
    np.testing.assert_allclose(basis(x[None], 1)[0, 1:], [0, 0, -c1])


def test_degree_zero_does_not_turn() -> None:
    sh = np.ones((3, 1, 3), np.float32)
    assert rotate_sh(sh, -np.eye(3)) is sh
    with pytest.raises(UsageError):
        degree_of(5)


def test_splats_refuse_arrays_that_do_not_fit() -> None:
    s = blob(5).splats
    for wrong in (
        {"means": s.means[:, :2]},
        {"log_scales": s.log_scales[:4]},
        {"quats": s.quats.astype(np.float64)},
        {"sh": s.sh[:, :7]},
        {"extras": {"short": np.zeros(4)}},
    ):
        with pytest.raises(UsageError):
            replace(s, **wrong)


def test_taking_rows_takes_all_columns() -> None:
    s = replace(blob(10).splats, extras={"row": np.arange(10)})
    taken = s.take(np.array([7, 2]))
    assert taken.extras["row"].tolist() == [7, 2]
    assert (taken.sh == s.sh[[7, 2]]).all()
    assert isinstance(s.take(slice(0, 3)), Splats)
    assert s.nbytes == 10 * 59 * 4


def test_a_camera_looks_where_it_is_told() -> None:
    eye, target = np.array([1.0, 2, 3]), np.array([4.0, 0, 0])
    camera = Camera(640, 480, 500, 500, 320, 240, look_at(eye, target, np.array([0, 0, 1.0])))
    np.testing.assert_allclose(camera.position, eye)
    seen = camera.w2c @ [*target, 1]
    np.testing.assert_allclose(seen[:2], 0, atol=1e-9)
    assert seen[2] > 0
    above = camera.w2c @ [*(target + [0, 0, 1]), 1]
    assert above[1] < 0  # y points down
    half = camera.resized(320, 240)
    assert (half.fx, half.cx, half.cy) == (250, 160, 120)
    straight = look_at(np.zeros(3), np.array([0, 0, 5.0]), np.array([0, 0, 1.0]))  # up is where it looks
    np.testing.assert_allclose(straight[:3, :3] @ straight[:3, :3].T, np.eye(3), atol=1e-12)


def test_impossible_cameras_are_refused() -> None:
    fine = {"width": 64, "height": 48, "fx": 50.0, "fy": 50.0, "cx": 32.0, "cy": 24.0, "w2c": np.eye(4)}
    for wrong in (
        {"width": 0},
        {"height": 40000},
        {"fx": 0.0},
        {"cy": np.nan},
        {"w2c": np.eye(3)},
        {"w2c": np.eye(4) * np.nan},
    ):
        with pytest.raises(UsageError):
            Camera(**{**fine, **wrong})
