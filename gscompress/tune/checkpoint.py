"""Finished stages of a long encode, kept in a folder, so that an interrupted run goes on after the last of them.

A stage is known by everything that it depends on; a folder may hold those of many runs. Nothing is stored but arrays.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from gscompress.atomic import staged
from gscompress.context import Context
from gscompress.scene import Scene, Splats

Array = npt.NDArray[Any]
_ARRAYS = ("means", "log_scales", "quats", "logit_opacities", "sh")


def resumable(ctx: Context, stage: str, settings: Mapping[str, Any], scene: Scene, make: Callable[[], Scene]) -> Scene:
    """``make()``, or what it came to last time, if ``ctx`` has a folder for that.

    settings: what decides the result besides the scene, the views and the seed of ``ctx``; JSON-able.
    """
    if ctx.checkpoints is None:
        return make()

    def arrays() -> dict[str, Array]:
        splats = make().splats
        return {name: getattr(splats, name) for name in _ARRAYS}

    kept = resumable_arrays(ctx, stage, settings, scene, _ARRAYS, arrays)
    means, log_scales, quats, logits, sh = (kept[name] for name in _ARRAYS)
    return replace(scene, splats=Splats(means, log_scales, quats, logits, sh))


def resumable_arrays(
    ctx: Context,
    stage: str,
    settings: Mapping[str, Any],
    scene: Scene,
    names: Sequence[str],
    make: Callable[[], Mapping[str, Array]],
) -> Mapping[str, Array]:
    """The same for a stage whose result is arrays called ``names``."""
    if ctx.checkpoints is None:
        return make()
    path = ctx.checkpoints / f"{stage}-{_digest(ctx, stage, settings, scene)}.npz"
    if path.exists():
        try:
            with path.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
                kept = {name: stored[name] for name in names}
        except (OSError, ValueError, KeyError, zipfile.BadZipFile):
            ctx.log.warn(f"{path}: not a whole checkpoint, done anew")
        else:
            ctx.log.info(f"{stage}: taken from {path}")
            return kept
    made = make()
    ctx.checkpoints.mkdir(parents=True, exist_ok=True)
    with staged(path, force=True) as temporary, temporary.open("wb") as out:
        np.savez(out, **made)  # type: ignore[arg-type]
    return made


def _digest(ctx: Context, stage: str, settings: Mapping[str, Any], scene: Scene) -> str:
    state = hashlib.sha256(json.dumps([stage, dict(settings), ctx.seed, ctx.background], sort_keys=True).encode())
    for name in _ARRAYS:
        state.update(np.ascontiguousarray(getattr(scene.splats, name)).data)
    for camera in ctx.cameras:
        facts = camera.width, camera.height, camera.fx, camera.fy, camera.cx, camera.cy, camera.near
        state.update(np.array(facts, np.float64).data)
        state.update(np.ascontiguousarray(camera.w2c).data)
    for photo in ctx.photos:
        state.update(np.ascontiguousarray(photo).data)
    return state.hexdigest()[:16]
