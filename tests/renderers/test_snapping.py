"""Laws of quantized coordinates: fine cells change nothing, coarse ones do, points land in their cells' middles."""

from __future__ import annotations

import numpy as np
import pytest
from field_specimens import cameras, mlp_field, voxel_field

from gscompress.field import Field

torch = pytest.importorskip("torch")

from gscompress.renderers.volume import VolumeRenderer, model_of  # noqa: E402


def test_points_land_in_the_middle_of_their_cells() -> None:
    model = model_of(mlp_field())
    points = torch.tensor([[-2.5, 0.0, 2.4], [0.1, 0.9, -1.0]])
    assert model.snapped(points) is points
    model.cells = 5
    np.testing.assert_allclose(model.snapped(points), [[-2, 0, 2], [0, 1, -1]], atol=1e-6)
    near = model.snapped(points + 0.01)
    np.testing.assert_allclose(near, model.snapped(points), atol=1e-6)


@pytest.mark.parametrize("field", [mlp_field(), voxel_field()], ids=lambda f: f.spec.kind)
def test_fine_cells_change_nothing_and_coarse_ones_do(field: Field) -> None:
    view = cameras(1, size=12)[0]
    plain, fine, coarse = (VolumeRenderer(cells).render(field, view).rgb for cells in (None, 25600, 10))
    assert ((plain - fine) ** 2).mean() < 1e-5
    assert ((plain - coarse) ** 2).mean() > 1e-3
