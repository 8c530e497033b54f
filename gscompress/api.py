"""Compress and decompress in memory or into a file: what the command line does, from Python."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

from gscompress.atomic import staged
from gscompress.codecs import gscz
from gscompress.codecs.presets import PRESETS
from gscompress.container.reader import Reader
from gscompress.context import Context
from gscompress.errors import UsageError
from gscompress.rate import aim, aim_psnr
from gscompress.recipe import Recipe
from gscompress.scene import Scene


@dataclass(frozen=True, slots=True)
class Result:
    """What a compression came to: the recipe as used (quality included) and the size of the file in bytes."""

    recipe: Recipe
    size: int


def compress(
    scene: Scene,
    preset: str = "default",
    *,
    quality: float | None = None,
    target_size: int | None = None,
    target_psnr: float | None = None,
    tune: float | None = None,
    do: Sequence[str] = (),
    ctx: Context | None = None,
) -> bytes:
    """The bytes of a ``.gscz`` file. Same scene, options and seed: same bytes.

    quality: 0 (smallest) to 100 (best), for presets that have the dial. target_size: bytes; the quality is searched so
    that the file is as large as possible below it. target_psnr: dB against the original's renders over ``ctx.cameras``.
    tune: seconds of self-distillation (presets that have it). do: transforms to apply first, as ``"prune:ratio=0.3"``.
    Raises UsageError.
    """
    stream = io.BytesIO()
    _run(
        stream,
        scene,
        recipe_for(preset, quality=quality, tune=tune, do=do),
        (target_size, target_psnr),
        ctx or Context(),
    )
    return stream.getvalue()


def compress_to_file(
    scene: Scene,
    path: str | os.PathLike[str],
    preset: str = "default",
    *,
    quality: float | None = None,
    target_size: int | None = None,
    target_psnr: float | None = None,
    tune: float | None = None,
    do: Sequence[str] = (),
    ctx: Context | None = None,
    force: bool = False,
) -> Result:
    """``compress`` straight into a file, chunk by chunk; the file appears whole or not at all.

    Raises UsageError, OutputExistsError when it exists and ``force`` is off.
    """
    recipe = recipe_for(preset, quality=quality, tune=tune, do=do)
    with staged(path, force=force) as temporary, temporary.open("wb") as stream:
        return _run(stream, scene, recipe, (target_size, target_psnr), ctx or Context())


def decompress(data: bytes, *, max_level: int | None = None, ctx: Context | None = None) -> Scene:
    """Decode the bytes of a ``.gscz`` file, up to ``max_level`` (0 is the base) when given. Raises UnreadableError."""
    return gscz.decode_last(Reader(data), (ctx or Context()).log, max_level)


def recipe_for(
    preset: str, *, quality: float | None = None, tune: float | None = None, do: Sequence[str] = ()
) -> Recipe:
    """The recipe behind a preset with the caller's wishes applied. Raises UsageError when it cannot use one of them."""
    recipe = PRESETS.get(preset).after(do)
    if tune is not None:
        if not 0 <= tune < 1e6:
            raise UsageError(f"{tune:g} seconds of tuning are out of range")
        recipe = recipe.with_options(tune=float(tune))
    if quality is None:
        return recipe
    if not 0 <= quality <= 100:
        raise UsageError(f"quality {quality:g} is out of range: give 0 (smallest) to 100 (best)")
    return recipe.with_options(quality=float(quality))


Targets = tuple[int | None, float | None]


def _run(stream: BinaryIO, scene: Scene, recipe: Recipe, targets: Targets, ctx: Context) -> Result:
    size, decibels = targets
    if size is not None and decibels is not None:
        raise UsageError("a file can aim at a size or at a PSNR, not at both")
    if size is not None and size <= 0:
        raise UsageError(f"target size {size} is not positive")
    if decibels is not None and not 10 <= decibels <= 80:
        raise UsageError(f"target PSNR {decibels:g} is out of range: give 10 to 80 dB")
    aims = size is not None or decibels is not None
    if aims and not hasattr(recipe.codec, "quality"):
        raise UsageError(f"preset '{recipe.name}' has no quality dial, so it cannot aim at a size or a PSNR")
    with ctx.log.phase("prepare"):
        prepared = recipe.prepare(scene, ctx)
    if size is not None:
        used, data = aim(prepared, recipe, size, ctx, len(scene))
    elif decibels is not None:
        used, data = aim_psnr(prepared, recipe, decibels, ctx, len(scene))
    else:
        with ctx.log.phase("encode"):
            return Result(recipe, gscz.encode(stream, prepared, recipe, ctx, len(scene)))
    stream.write(data)
    return Result(used, len(data))
