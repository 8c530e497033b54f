"""Small scenes for laws that every codec, transform and verb must keep: ``from specimens import …``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from gscompress.frame import RUB
from gscompress.scene import Scene, Splats

FRUIT = Path(__file__).parent / "fixtures" / "fruit.ply"


def blob(count: int, degree: int = 3, seed: int = 0) -> Scene:
    """Gaussians of a plausible scene: a cloud of flat, mostly opaque ones, some of them clones of others."""
    rng = np.random.default_rng(seed)
    bands = (degree + 1) ** 2

    def normal(*shape: int, scale: float = 1.0) -> npt.NDArray[np.float32]:
        return rng.normal(0, scale, shape).astype(np.float32)

    sh = normal(count, bands, 3, scale=0.1)
    sh[count // 2 : count // 2 + count // 8] = sh[: count // 8]
    splats = Splats(normal(count, 3), normal(count, 3) - 4, normal(count, 4), normal(count) * 2, sh)
    return Scene(splats, meta={"source": "specimen"})


def odd_scenes() -> dict[str, Scene]:
    """Scenes at the edges of what must work: none, one, identical, every SH degree, another frame and model."""
    one = blob(1)
    return {
        "empty": blob(0),
        "one": one,
        "identical": Scene(one.splats.take(np.zeros(50, int))),
        **{f"sh{degree}": blob(40, degree) for degree in range(4)},
        "mip in RUB": Scene(blob(30, 1).splats, frame=RUB, model="mip", meta={"note": "häßlich"}),
    }


def rows(scene: Scene) -> npt.NDArray[np.void]:
    """Every Gaussian's bits as one sortable item: two scenes with equal sorted rows hold the same Gaussians."""
    s = scene.splats
    columns = [s.means, s.log_scales, s.quats, s.logit_opacities[:, None], s.sh.reshape(len(s), 3 * s.sh.shape[1])]
    table = np.ascontiguousarray(np.concatenate(columns, axis=1)).view(np.uint32)
    return np.sort(table.view(f"V{4 * table.shape[1]}").ravel())
