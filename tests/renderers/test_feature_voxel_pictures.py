"""Laws of DVGO's voxels: pictures are what the published formulas say, marched one ray at a time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from field_specimens import cameras, feature_voxel_field

from gscompress.errors import UnreadableError
from gscompress.field import Field

torch = pytest.importorskip("torch")

from gscompress.renderers.volume import VolumeRenderer, model_of  # noqa: E402
from gscompress.renderers.volume_math import rays_of  # noqa: E402


def marched(field: Field, origin: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """The colour of one ray on white: dense grids, torch's own interpolation, sample after sample."""
    g, t = field.spec.geometry, field.tensors
    low, high = (np.array(c) for c in g["box"])
    grids = np.zeros((1 + t["features"].shape[1], *t["mask"].shape), np.float32)
    grids[0] = g["empty"]
    grids[0][t["mask"]] = t["density"]
    grids[1:, t["mask"]] = t["features"].T
    size, base = ((np.prod(high - low) / g[k]) ** (1 / 3) for k in ("voxels", "base_voxels"))
    view = direction / np.linalg.norm(direction)
    entry = max(np.minimum((low - origin) / view, (high - origin) / view).max(), 0)
    angles = (view[:, None] * 2.0 ** np.arange(g["frequencies"])).ravel()
    seen = np.concatenate([view, np.sin(angles), np.cos(angles)])
    through, colour = 1.0, np.zeros(3)
    for k in range(200):
        at = origin + view * (entry + k * g["step"] * size)
        share = (at - low) / (high - low)
        cells = np.array(t["occupancy"].shape) - 1
        if not ((share >= 0) & (share <= 1)).all() or not t["occupancy"][tuple(np.rint(share * cells).astype(int))]:
            continue
        where = torch.from_numpy(share[::-1] * 2 - 1).float()[None, None, None, None]
        mixed = torch.nn.functional.grid_sample(torch.from_numpy(grids)[None], where, align_corners=True)
        raw, features = float(mixed[0, 0]), mixed[0, 1:, 0, 0, 0].numpy()
        alpha = 1 - (1 + np.exp(raw + g["shift"])) ** (-g["step"] * size / base)
        x = np.concatenate([features if g["direct"] else features[3:], seen])
        if "head.0.weight" in t:
            for number in range(3):
                x = t[f"head.{number}.weight"] @ x + t[f"head.{number}.bias"]
                x = np.maximum(x, 0) if number < 2 else x
            x = x if g["direct"] else x + features[:3]
        else:
            x = features
        colour += through * alpha / (1 + np.exp(-x))
        through *= 1 - alpha
    return colour + through


@pytest.mark.parametrize(("shaded", "direct"), [(True, False), (True, True), (False, False)])
@pytest.mark.parametrize("dense", [False, True])
def test_rays_have_the_colours_of_the_formula(shaded: bool, direct: bool, dense: bool) -> None:
    field = feature_voxel_field(shaded=shaded, direct=direct, dense=dense)
    camera = cameras(1, size=12)[0]
    picture = VolumeRenderer().render(field, camera).rgb.reshape(-1, 3)
    rays = rays_of(camera)
    assert picture.std() > 0.1
    for row in range(0, len(picture), 11):
        expected = marched(field, rays.origins[row].numpy(), rays.directions[row].numpy())
        np.testing.assert_allclose(picture[row], expected, atol=3e-3)


def test_points_answer_as_rays_do() -> None:
    field = feature_voxel_field()
    g = field.spec.geometry
    point = torch.tensor([[0.1, -0.2, 0.3], [9.0, 0, 0]])
    density, rgb = model_of(field).ask(point, torch.tensor([[0.0, 0, 2], [0, 0, 1]]))
    base = (np.prod(np.diff(np.array(g["box"]), axis=0)) / g["base_voxels"]) ** (1 / 3)
    assert density[0] * base > 10
    assert density[1] == 0
    assert ((rgb[0] > 0) & (rgb[0] < 1)).all()


@pytest.mark.parametrize(
    "change",
    [{"box": [[1.0] * 3, [0.0] * 3]}, {"voxels": 0}, {"step": 0}, {"frequencies": 7}, {"direct": True}, {"shift": "x"}],
)
def test_a_geometry_that_does_not_fit_is_refused(change: dict[str, Any]) -> None:
    field = feature_voxel_field()
    with pytest.raises(UnreadableError, match="does not fit"):
        model_of(replace(field, spec=replace(field.spec, geometry={**field.spec.geometry, **change})))
