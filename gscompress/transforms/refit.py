"""Fit the colours of a reduced scene to renders of the original: what left with other Gaussians, or with higher bands
of SH, moves into the coefficients that stay.

A picture is linear in the SH coefficients (but where a colour is cut off at black), so this is a linear least-squares
problem, solved by conjugate gradients (CGLS) whose products with the Jacobian are renders. The ridge keeps colours that
the views hardly determine where they were; without it they turn out well in these views and ruin others.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from gscompress.context import Context
from gscompress.scene import Scene

F64 = npt.NDArray[np.float64]
RIDGE = 10.0  # in units of the median sensitivity of a Gaussian's colour


def refit_sh(scene: Scene, original: Scene, ctx: Context, rounds: int) -> Scene:
    """``scene`` with SH that show ``original`` better in ``ctx.cameras``, after ``rounds`` of conjugate gradients.

    A round renders every view twice and pulls it back once.
    """
    renderer = ctx.need_renderer("fitting colours")
    wanted = [renderer.render(original, camera).rgb.astype(np.float16) for camera in ctx.cameras]
    start = np.asarray(scene.splats.sh, np.float64)
    sensitivity = _sensitivity(scene, ctx)
    seen = sensitivity > 0
    if not seen.any():
        return scene
    ridge = RIDGE * float(np.median(sensitivity[seen]))
    preconditioner = (sensitivity + ridge)[:, None, None]
    x, along, before = start.copy(), np.zeros_like(start), 0.0

    def with_sh(values: F64) -> Scene:
        return replace(scene, splats=replace(scene.splats, sh=values.astype(np.float32)))

    with ctx.log.phase("Fitting colours", rounds) as tick:
        for _ in range(rounds):
            downhill, pictures = np.zeros_like(x), []
            for camera, picture in zip(ctx.cameras, wanted, strict=True):
                image, gradients = renderer.render_with_grad(
                    with_sh(x),
                    camera,
                    lambda image, w=picture: w.astype(np.float32) - image.rgb,  # type: ignore[misc]
                )
                downhill += gradients.sh
                pictures.append(image.rgb)
            downhill -= ridge * (x - start)
            scaled = downhill / preconditioner
            now = float((downhill * scaled).sum())
            if now <= 0:
                break
            along = scaled + (now / before if before else 0.0) * along
            before = now
            bend = ridge * float(np.square(along).sum())
            for camera, shown in zip(ctx.cameras, pictures, strict=True):
                moved = renderer.render(with_sh(x + along), camera).rgb - shown
                bend += float(np.square(moved, dtype=np.float64).sum())
            x = x + float((downhill * along).sum()) / bend * along
            tick(1)
    return with_sh(x)


def _sensitivity(scene: Scene, ctx: Context) -> F64:
    """(N,) squared picture change per squared unit of a DC coefficient, estimated with random pixel signs."""
    renderer, rng, total = ctx.need_renderer("fitting colours"), np.random.default_rng(ctx.seed), np.zeros(len(scene))
    for camera in ctx.cameras:
        _, gradients = renderer.render_with_grad(
            scene, camera, lambda image: rng.choice(np.array([-1, 1], np.float32), image.rgb.shape)
        )
        total += np.square(gradients.sh[:, 0], dtype=np.float64).mean(1)
    return total
