"""Laws of VM planes: the published formula, masks, contraction, and that pictures skip only what does not show."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from field_specimens import cameras, planes_field

from gscompress.errors import UnreadableError
from gscompress.field import Field
from gscompress.kernels.plane_lookup import PLANES, lookup_twin

torch = pytest.importorskip("torch")

from gscompress.renderers.volume import VolumeRenderer, model_of  # noqa: E402


def waves(x: np.ndarray, count: int) -> np.ndarray:
    angles = (x[:, :, None] * 2.0 ** np.arange(count)).reshape(len(x), -1)
    return np.concatenate([np.sin(angles), np.cos(angles)], 1)


@pytest.mark.parametrize("shading", ["MLP_Fea", "MLP", "SH", "RGB"])
def test_planes_are_what_their_formula_says(shading: str) -> None:
    field = planes_field(shading=shading)
    t = field.tensors
    rng = np.random.default_rng(3)
    low, high = np.array(field.spec.geometry["box"])
    points = rng.uniform(low, high, (7, 3))
    views = rng.normal(size=(7, 3))
    views /= np.linalg.norm(views, axis=1, keepdims=True)
    places = ((points - low) / (high - low)).astype(np.float32)

    def products(kind: str) -> list[np.ndarray]:
        return [
            lookup_twin(places, axes, t[f"{kind}.plane.{k}"], t[f"{kind}.line.{k}"]) for k, axes in enumerate(PLANES)
        ]

    raw = sum(p.sum(1) for p in products("density")) - 2
    density = 25 * np.log1p(np.exp(raw))
    features = np.concatenate(products("colour"), 1) @ t["basis.weight"].T
    if shading == "RGB":
        rgb = features
    elif shading == "SH":
        from gscompress.sh import basis

        rgb = np.maximum(0.5 + np.einsum("scb,sb->sc", features.reshape(7, 3, 9), basis(views, 2)), 0)
    else:
        extra = [waves(features, 2)] if shading == "MLP_Fea" else []
        x = np.concatenate([features, views, *extra, waves(views, 2)], 1)
        for k in range(2):
            x = np.maximum(x @ t[f"head.{k}.weight"].T + t[f"head.{k}.bias"], 0)
        rgb = 1 / (1 + np.exp(-(x @ t["head.2.weight"].T + t["head.2.bias"])))
    found = model_of(field).ask(torch.from_numpy(points).float(), torch.from_numpy(views).float())
    np.testing.assert_allclose(found[0], density, rtol=1e-3)
    np.testing.assert_allclose(found[1], rgb, atol=1e-3)


@pytest.mark.parametrize("contraction", ["none", "inf"])
def test_something_is_seen_and_pictures_repeat(contraction: str) -> None:
    field = planes_field(contraction=contraction)
    view = cameras(1, size=14, radius=4.0 if contraction == "none" else 0.8)[0]
    first, second = (VolumeRenderer().render(field, view) for _ in range(2))
    np.testing.assert_array_equal(first.rgb, second.rgb)
    assert first.rgb.std() > 0.05
    assert 0.2 < first.alpha.mean() <= 1.001


def test_a_mask_hides_what_it_does_not_hold() -> None:
    whole, masked = planes_field(), planes_field(mask=True)
    view = cameras(1, size=14)[0]
    full, part = (VolumeRenderer().render(field, view).alpha for field in (whole, masked))
    assert part.mean() < 0.9 * full.mean()
    everything = np.ones_like(masked.tensors["occupancy"])
    opened = Field({**masked.tensors, "occupancy": everything}, masked.spec)
    np.testing.assert_allclose(VolumeRenderer().render(opened, view).alpha, full, atol=1e-6)
    nothing = Field({**masked.tensors, "occupancy": ~everything}, masked.spec)
    assert VolumeRenderer().render(nothing, view).alpha.max() == 0


def test_contraction_leaves_the_inner_cube_alone() -> None:
    """A contracted field and a bounded one of the same planes agree where space is not contracted."""
    field = planes_field(contraction="inf")
    inner = replace(field, spec=replace(field.spec, geometry={**field.spec.geometry, "contraction": "none"}))
    rng = np.random.default_rng(0)
    points, views = (torch.from_numpy(rng.uniform(-0.99, 0.99, (50, 3))).float() for _ in range(2))
    for a, b in zip(model_of(field).ask(points, views), model_of(inner).ask(points, views)):
        np.testing.assert_allclose(a, b, rtol=1e-4)
    far = model_of(field).ask(100 * points, views)[0]
    assert not np.allclose(far, model_of(inner).ask(100 * points, views)[0])


@pytest.mark.parametrize(
    "change", [{"shading": "neon"}, {"activation": "sine"}, {"frequencies": [2]}, {"step": 0.0}, {"box": [[0, 0, 0]]}]
)
def test_a_geometry_that_does_not_fit_is_refused(change: dict[str, object]) -> None:
    field = planes_field()
    spec = replace(field.spec, geometry={**field.spec.geometry, **change})
    with pytest.raises(UnreadableError, match="does not fit"):
        model_of(Field(field.tensors, spec))


def test_planes_of_other_sizes_are_refused() -> None:
    field = planes_field()
    tensors = {**field.tensors, "density.line.0": field.tensors["density.line.0"][:-1]}
    with pytest.raises(UnreadableError, match="does not fit"):
        model_of(Field(tensors, field.spec))
