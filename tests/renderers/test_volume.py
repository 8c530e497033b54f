"""Laws of volume rendering: the published formulas, by slow twins, and what a picture must not depend on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from field_specimens import cameras, hash_field, mlp_field, voxel_field

from gscompress.errors import UnreadableError
from gscompress.field import Field
from gscompress.hash_levels import levels_of
from gscompress.kernels.hash_lookup import lookup_twin

torch = pytest.importorskip("torch")

from gscompress.renderers import volume_math as vm  # noqa: E402
from gscompress.renderers.volume import VolumeRenderer, model_of  # noqa: E402


def test_rays_meet_their_pixels() -> None:
    camera = cameras(1, size=8)[0]
    rays = vm.rays_of(camera)
    points = (rays.origins + 3 * rays.directions).double().numpy()
    seen = points @ camera.w2c[:3, :3].T + camera.w2c[:3, 3]
    np.testing.assert_allclose(seen[:, 2], 3, rtol=1e-5)
    x = (camera.fx * seen[:, 0] / seen[:, 2] + camera.cx).reshape(8, 8)
    y = (camera.fy * seen[:, 1] / seen[:, 2] + camera.cy).reshape(8, 8)
    np.testing.assert_allclose(x, np.tile(np.arange(8) + 0.5, (8, 1)), atol=1e-4)
    np.testing.assert_allclose(y, np.tile(np.arange(8) + 0.5, (8, 1)).T, atol=1e-4)


def test_blending_is_the_loop_from_front_to_back() -> None:
    rng = np.random.default_rng(0)
    density, lengths = rng.exponential(2, (5, 9)), rng.random((5, 9))
    expected = np.zeros((5, 9))
    for r in range(5):
        through = 1.0
        for s in range(9):
            alpha = 1 - np.exp(-density[r, s] * lengths[r, s])
            expected[r, s] = through * alpha
            through *= 1 - alpha
    found = vm.blending_weights(torch.from_numpy(density), torch.from_numpy(lengths))
    np.testing.assert_allclose(found, expected, atol=1e-8)


def test_samples_follow_the_weights() -> None:
    edges = torch.tensor([[0.0, 1.0, 3.0, 4.0]])
    weights = torch.tensor([[1.0, 2.0, 1.0]])
    shares = torch.tensor([[0.0, 0.125, 0.25, 0.5, 0.75, 1.0]])
    np.testing.assert_allclose(vm.sample_by_weight(edges, weights, shares), [[0, 0.5, 1, 2, 3, 4]], atol=1e-6)


def test_normalised_device_coordinates_keep_rays_straight() -> None:
    """A point at depth z of a ray lies at 1 - 1 / z along its image, as appendix C of the NeRF paper has it."""
    rng = np.random.default_rng(1)
    directions = np.concatenate([rng.uniform(-0.4, 0.4, (6, 2)), -np.ones((6, 1))], 1)
    origins = np.concatenate([rng.uniform(-0.3, 0.3, (6, 2)), rng.uniform(-0.1, 0.1, (6, 1))], 1)
    rays = vm.Rays(torch.from_numpy(origins), torch.from_numpy(directions), (0.6, 0.45))
    turned = vm.to_ndc(rays)
    for depth in (1.5, 4.0, 50.0):
        t = depth + origins[:, 2]  # so that z = -depth
        point = origins + t[:, None] * directions
        image = np.stack([point[:, 0] / (0.6 * depth), point[:, 1] / (0.45 * depth), np.full(6, 1 - 2 / depth)], -1)
        along = turned.origins.numpy() + (1 - 1 / depth) * turned.directions.numpy()
        np.testing.assert_allclose(along, image, atol=1e-9)


def test_harmonics_are_orthonormal() -> None:
    rng = np.random.default_rng(2)
    d = rng.normal(size=(200_000, 3))
    d /= np.linalg.norm(d, axis=1, keepdims=True)
    y = vm.harmonics(torch.from_numpy(d)).numpy()
    np.testing.assert_allclose(4 * np.pi * y.T @ y / len(y), np.eye(16), atol=0.03)


def test_an_mlp_is_what_its_formula_says() -> None:
    field = mlp_field()
    model = model_of(field)
    t = {name: array.astype(np.float64) for name, array in field.tensors.items()}
    rng = np.random.default_rng(4)
    x, d = rng.normal(size=(5, 3)), rng.normal(size=(5, 3))
    d /= np.linalg.norm(d, axis=1, keepdims=True)

    def encoded(v: np.ndarray, count: int) -> np.ndarray:
        return np.concatenate([v, *[f(v * 2**k) for k in range(count) for f in (np.sin, np.cos)]], 1)

    def layer(name: str, v: np.ndarray) -> np.ndarray:
        return v @ t[f"fine.{name}.weight"].T + t[f"fine.{name}.bias"]

    h = layer("trunk.0", encoded(x, 3))  # this software has no ReLU here
    h = np.maximum(layer("trunk.1", h), 0)
    h = np.maximum(layer("trunk.2", h), 0)
    colour = np.maximum(layer("colour.0", np.concatenate([np.maximum(layer("feature", h), 0), encoded(d, 1)], 1)), 0)
    density, hidden = model._density("fine", torch.from_numpy(x).float())
    np.testing.assert_allclose(density, np.maximum(layer("density", h), 0)[:, 0], rtol=1e-4, atol=1e-4)
    found = model._colour("fine", hidden, torch.from_numpy(d).float())
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-layer("rgb", colour))), rtol=1e-4, atol=1e-5)


def test_colours_that_do_not_show_may_be_left_out() -> None:
    """Pictures skip what gradients may not: both ways of tracing agree."""
    model = model_of(mlp_field())
    rays = vm.rays_of(cameras(1, size=10)[0])
    with torch.no_grad():
        fast = model.trace(rays)
    whole = model.trace(rays)
    np.testing.assert_allclose(fast.rgb, whole.rgb.detach(), atol=2e-4)
    assert fast.guide is None
    assert whole.guide is not None


def test_pictures_do_not_depend_on_the_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    field, camera = mlp_field(), cameras(1, size=10)[0]
    before = VolumeRenderer().render(field, camera)
    monkeypatch.setattr("gscompress.renderers.volume.CHUNK", 7)
    after = VolumeRenderer().render(field, camera)
    np.testing.assert_allclose(before.rgb, after.rgb, atol=1e-5)
    assert before.rgb.shape == (10, 10, 3)
    assert before.alpha.max() > 0.3


def test_a_background_shows_where_nothing_is() -> None:
    field, camera = mlp_field(), cameras(1, size=10)[0]
    renderer = VolumeRenderer()
    white, black = (renderer.render(field, camera, background=(c, c, c)) for c in (1.0, 0.0))
    np.testing.assert_allclose(white.rgb - black.rgb, np.repeat(1 - white.alpha[..., None], 3, 2), atol=1e-5)
    np.testing.assert_array_equal(renderer.render(field, camera).rgb, white.rgb)


@pytest.mark.parametrize(
    "change", [{"frequencies": [4, 1]}, {"networks": ["coarse", "finest"]}, {"samples": ["many", 3]}]
)
def test_a_geometry_that_does_not_fit_is_refused(change: dict[str, object]) -> None:
    field = mlp_field()
    spec = replace(field.spec, geometry={**field.spec.geometry, **change})
    with pytest.raises(UnreadableError, match="does not fit"):
        model_of(Field(field.tensors, spec))


def test_a_hash_field_is_what_its_formula_says() -> None:
    """Contraction, features, two small networks: in float64 and one point at a time."""
    field = hash_field()
    model, levels = model_of(field), levels_of(field.spec.geometry)
    t = {name: array.astype(np.float64) for name, array in field.tensors.items()}
    rng = np.random.default_rng(6)
    points, d = rng.normal(size=(8, 3)) * 1.2, rng.normal(size=(8, 3))
    d /= np.linalg.norm(d, axis=1, keepdims=True)
    size = np.maximum(np.abs(points).max(1, keepdims=True), 1)
    place = (points / size * (2 - 1 / size) + 2) / 4

    def network(stem: str, x: np.ndarray, layers: int) -> np.ndarray:
        for k in range(layers):
            x = x @ t[f"{stem}.{k}.weight"].T + t[f"{stem}.{k}.bias"]
            x = np.maximum(x, 0) if k < layers - 1 else x
        return x

    raw = network("base", lookup_twin(place.astype(np.float32), field.tensors["grid"], levels), 2)
    found = model._raw(torch.from_numpy(points).float())
    np.testing.assert_allclose(found, raw, atol=1e-3)
    seen = vm.harmonics(torch.from_numpy((d + 1) / 2)).numpy()
    colour = 1 / (1 + np.exp(-network("head", np.concatenate([seen, raw[:, 1:]], 1), 3)))
    np.testing.assert_allclose(model._colour(found[:, 1:], torch.from_numpy(d).float()), colour, atol=1e-3)


def test_a_closed_field_covers_every_background() -> None:
    field, camera = hash_field(), cameras(1, size=8, radius=0.8)[0]
    white, black = (VolumeRenderer().render(field, camera, background=(c, c, c)).rgb for c in (1.0, 0.0))
    np.testing.assert_array_equal(white, black)
    assert np.std(black) > 0.02


def test_voxels_are_trilinear_and_march_in_even_steps() -> None:
    """One ray through the middle, voxel by voxel in plain Python."""
    field = voxel_field(bands=1)
    t = field.tensors
    grid = np.zeros((*t["mask"].shape, 4))
    grid[t["mask"]] = np.concatenate([t["density"][:, None], t["sh"]], 1)
    origin, along = np.array([-2.0, 0.11, 0.23]), np.array([1.0, 0.1, -0.05])
    unit = along / np.linalg.norm(along)
    ray = vm.Rays(torch.tensor(origin[None]).float(), torch.tensor(along[None]).float(), (1.0, 1.0))
    cell, start = 2 / 14, (-1 - origin[0]) / unit[0]
    through, colour = 1.0, np.zeros(3)
    for k in range(200):
        place = (origin + unit * (start + (k + 0.5) * cell / 2) + 1) / cell - 0.5
        low, value = np.floor(place).astype(int), np.zeros(4)
        if (low < 0).any() or (low >= 14).any():
            continue
        for corner in np.ndindex(2, 2, 2):
            where = low + corner
            if (where < 14).all():
                value += np.prod(np.where(corner, place - low, 1 - place + low)) * grid[tuple(where)]
        alpha = 1 - np.exp(-max(value[0], 0) * cell / 2)
        colour += through * alpha * np.maximum(0.5 + 0.28209479177387814 * value[1:], 0)
        through *= 1 - alpha
    traced = model_of(field).trace(ray)
    np.testing.assert_allclose(traced.rgb[0], colour, atol=2e-4)
    np.testing.assert_allclose(traced.alpha[0], 1 - through, atol=2e-4)
