"""Generated cameras see what a photographer would have shown."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gscompress import viewpoints
from gscompress.errors import UsageError
from gscompress.frame import RDF, Frame, matrix_to_quat
from gscompress.scene import Scene, Splats
from gscompress.viewpoints import generate


def splats_on(points: np.ndarray, normals: np.ndarray, size: float, opacity: float = 0.95) -> Splats:
    """Flat Gaussians on a surface."""
    n = len(points)
    helper = np.where(np.abs(normals[:, :1]) < 0.9, [[1.0, 0, 0]], [[0, 1.0, 0]])
    side = np.cross(normals, helper)
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    turns = np.stack([side, np.cross(normals, side), normals], axis=2)
    scales = np.tile(np.log([size, size, size / 20]), (n, 1))
    sh = np.random.default_rng(0).normal(size=(n, 1, 3))
    return Splats(
        *(np.asarray(a, np.float32) for a in (points, scales, matrix_to_quat(turns))),
        np.full(n, np.log(opacity / (1 - opacity)), np.float32),
        sh.astype(np.float32),
    )


def ball(n: int = 4000, radius: float = 1.0) -> Scene:
    """An object without surroundings."""
    k = np.arange(n)
    z = 1 - (2 * k + 1) / n
    around = np.sqrt(1 - z * z)
    normals = np.stack([around * np.cos(k * 2.4), around * np.sin(k * 2.4), z], axis=1)
    return Scene(splats_on(normals * radius, normals, 0.05 * radius))


def box(size: tuple[float, float, float], n: int, centre: tuple[float, float, float] = (0, 0, 0)) -> Splats:
    """The six faces of a box."""
    rng = np.random.default_rng(1)
    half = np.array(size) / 2
    areas = np.array([size[1] * size[2], size[0] * size[2], size[0] * size[1]])
    axis = rng.choice(3, n, p=areas / areas.sum())
    points = rng.uniform(-1, 1, (n, 3)) * half
    sign = rng.choice([-1.0, 1.0], n)
    points[np.arange(n), axis] = sign * half[axis]
    normals = np.zeros((n, 3))
    normals[np.arange(n), axis] = sign
    return splats_on(points + centre, normals, 1.2 * float(np.sqrt(2 * areas.sum() / n)))


def room() -> Scene:
    """Four walls, floor, ceiling and a few pieces of furniture along the walls; 6 x 2.5 x 5 units, y down."""
    parts = [box((6, 2.5, 5), 6000)]
    parts += [
        box((0.8, 1.2, 0.8), 500, at) for at in ((-2.4, 0.65, -1.8), (2.4, 0.65, 1.8), (-2.4, 0.65, 1.5), (2, 0.65, -2))
    ]
    return Scene(joined(parts))


def joined(parts: list[Splats]) -> Splats:
    names = ("means", "log_scales", "quats", "logit_opacities", "sh")
    return Splats(*(np.concatenate([getattr(p, name) for p in parts]) for name in names))


def positions(cameras: list) -> np.ndarray:
    return np.array([c.position for c in cameras])


def test_an_object_is_seen_from_all_around_and_from_outside() -> None:
    at = positions(generate(ball(), 16))
    distance = np.linalg.norm(at, axis=1)
    assert distance.min() > 1.05
    assert distance.max() < 5
    azimuth = np.sort(np.arctan2(at[:, 0], at[:, 2]))
    assert np.diff(azimuth, append=azimuth[0] + 2 * np.pi).max() < np.radians(100)


def test_a_room_is_seen_from_within() -> None:
    at = positions(generate(room(), 16))
    within = (np.abs(at) < np.array([3, 1.25, 2.5])).all(axis=1)
    assert within.mean() > 0.8


def test_a_wall_behind_the_object_keeps_cameras_in_front_of_it() -> None:
    rng = np.random.default_rng(2)
    wall = rng.uniform(-5, 5, (3000, 3)) * [1, 1, 0] + [0, -3, 1.4]
    floor = rng.uniform(-5, 5, (3000, 3)) * [1, 0, 1] + [0, 1.2, -3]
    parts = [ball().splats]
    parts += [splats_on(at, np.tile(n, (3000, 1)), 0.3) for at, n in ((wall, [0.0, 0, 1]), (floor, [0.0, 1, 0]))]
    at = positions(generate(Scene(joined(parts)), 12))
    assert (at[:, 2] < 1.4).mean() > 0.85
    assert (at[:, 1] < 1.2).mean() > 0.85


def test_nothing_stands_in_front_of_the_lens() -> None:
    scene = room()
    air = viewpoints.study(scene).air
    for camera in generate(scene, 12):
        assert air.ahead(camera.position, camera.w2c[2:3, :3], viewpoints.CLEARANCE["inside"])[0] > 0.5


def test_floaters_do_not_move_the_views() -> None:
    scene = ball()
    rng = np.random.default_rng(5)
    directions = rng.normal(size=(2000, 3))
    far = 200 * directions / np.linalg.norm(directions, axis=1, keepdims=True)
    floaters = splats_on(far, directions / np.linalg.norm(directions, axis=1, keepdims=True), 0.05, opacity=0.02)
    subject = viewpoints.study(Scene(joined([scene.splats, floaters])))
    assert np.linalg.norm(subject.focus) < 0.3
    assert subject.radius == pytest.approx(viewpoints.study(scene).radius, rel=0.1)


def test_the_same_arguments_give_the_same_cameras_and_others_give_new_ones() -> None:
    scene = ball()
    first, again = generate(scene, 8), generate(scene, 8)
    assert all(np.array_equal(a.w2c, b.w2c) for a, b in zip(first, again, strict=True))
    for other in (generate(scene, 8, seed=1), generate(scene, 8, offset=1)):
        gaps = np.linalg.norm(positions(first)[:, None] - positions(other)[None], axis=2)
        assert gaps.min() > 1e-3


def test_the_first_views_do_not_depend_on_how_many_follow() -> None:
    scene = ball()
    few, many = generate(scene, 4), generate(scene, 12)
    assert all(np.array_equal(a.w2c, b.w2c) for a, b in zip(few, many, strict=False))


def test_unusual_views_follow_the_others_from_elsewhere_and_weigh_less() -> None:
    scene = ball()
    usual, more = generate(scene, 8), generate(scene, 8, unusual=3)
    assert [c.weight for c in more] == [1] * 8 + [viewpoints.UNUSUAL_WEIGHT] * 3
    assert all(np.array_equal(a.w2c, b.w2c) for a, b in zip(usual, more))
    # Nearest neighbours are further away than those of views that were chosen for what they show.
    next_ones = generate(scene, 11)
    assert _loneliness(more, 8) > 1.2 * _loneliness(next_ones, 8)


def _loneliness(cameras: list, first: int) -> float:
    """Mean distance of the cameras from ``first`` on to the nearest one before."""
    places = positions(cameras)
    return float(np.mean([np.linalg.norm(places[:k] - places[k], axis=1).min() for k in range(first, len(places))]))


@pytest.mark.parametrize("axes", ["RUB", "RFU"])
def test_another_frame_gives_the_same_pictures(axes: str) -> None:
    scene = room()
    turned = scene.in_frame(Frame(axes))
    for a, b in zip(generate(scene, 6), generate(turned, 6), strict=True):
        in_view = a.w2c[:3, :3] @ scene.splats.means.T + a.w2c[:3, 3:]
        same = b.w2c[:3, :3] @ turned.splats.means.T + b.w2c[:3, 3:]
        np.testing.assert_allclose(in_view, same, atol=1e-4)


def test_a_left_handed_frame_is_not_shown_mirrored() -> None:
    scene = ball()
    for camera in generate(scene.in_frame(Frame("RUF")), 4):
        assert np.linalg.det(camera.w2c[:3, :3]) == pytest.approx(-1)
        assert camera.w2c[2, 3] > 0.5


@pytest.mark.parametrize("size", [1e-5, 1e5])
def test_units_do_not_matter(size: float) -> None:
    plain, scaled = generate(ball(), 6), generate(ball(radius=size), 6)
    np.testing.assert_allclose(positions(scaled) / size, positions(plain), rtol=0.02, atol=0.02)
    assert scaled[0].near / size == pytest.approx(plain[0].near, rel=0.02)


def test_a_tilted_room_is_set_upright() -> None:
    tilt = np.radians(20)
    turn = np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
    splats = room().splats
    means = (splats.means @ turn.T).astype(np.float32)
    from gscompress.frame import rotate_quats

    tilted = Scene(replace(splats, means=means, quats=rotate_quats(splats.quats, turn)))
    up = viewpoints.study(tilted).up
    assert np.degrees(np.arccos(up @ turn @ [0, -1, 0])) < 3


@pytest.mark.parametrize("count", [1, 2, 7])
def test_a_handful_of_gaussians_is_enough(count: int) -> None:
    points = np.random.default_rng(3).normal(size=(count, 3))
    scene = Scene(splats_on(points, np.tile([0.0, 0, 1], (count, 1)), 0.1))
    cameras = generate(scene, 5, width=64)
    assert len(cameras) == 5
    for camera in cameras:
        depth = (camera.w2c[:3, :3] @ points.T + camera.w2c[:3, 3:])[2]
        assert depth.max() > camera.near


def test_rows_that_are_not_finite_are_ignored() -> None:
    splats = ball().splats
    means = splats.means.copy()
    means[::50] = np.nan
    means[1::50] = 3e38
    quats = splats.quats.copy()
    quats[2::50] = np.inf
    assert len(generate(Scene(replace(splats, means=means, quats=quats)), 4)) == 4


def test_an_invisible_scene_is_refused() -> None:
    empty = ball().splats.take(slice(0))
    with pytest.raises(UsageError, match="no visible Gaussian"):
        generate(Scene(empty))
    with pytest.raises(UsageError, match="style"):
        generate(ball(), style="spiral")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="0 views"):
        generate(ball(), 0)


def test_the_frame_is_kept_when_nothing_is_flat() -> None:
    scene = ball()
    round_ = replace(scene.splats, log_scales=np.full_like(scene.splats.log_scales, -3))
    np.testing.assert_array_equal(viewpoints.study(Scene(round_, RDF)).up, [0, -1, 0])


def test_a_turntable_goes_round_an_object_and_swings_before_a_wall() -> None:
    at = positions(viewpoints.turntable(ball(), 24))
    azimuth = np.unwrap(np.arctan2(at[:, 0], at[:, 2]))
    np.testing.assert_allclose(np.diff(azimuth), np.diff(azimuth)[0], rtol=0.2)
    rng = np.random.default_rng(2)
    wall = rng.uniform(-6, 6, (800, 3)) * [1, 1, 0] + [0, 0, 1.4]
    scene = Scene(joined([ball().splats, splats_on(wall, np.tile([0.0, 0, 1], (800, 1)), 0.7)]))
    at = positions(viewpoints.turntable(scene, 24))
    assert at[:, 2].max() < 1.4
    assert np.linalg.norm(np.diff(at, axis=0), axis=1).max() < 2
    gaps = np.linalg.norm(at[:, None] - at, axis=2)[np.triu_indices(24, 1)]
    assert gaps.min() > 1e-3


def test_a_scene_on_its_head_is_turned_over() -> None:
    rng = np.random.default_rng(4)
    table = rng.uniform(-4, 4, (1500, 3)) * [1, 0, 1] + [0, 1, 0]
    standing = joined([ball().splats, splats_on(table, np.tile([0.0, 1, 0], (1500, 1)), 0.4)])
    assert viewpoints.study(Scene(standing)).up[1] < -0.9
    on_its_head = replace(standing, means=standing.means * np.float32([1, -1, -1]))
    assert viewpoints.study(Scene(on_its_head)).up[1] > 0.9
