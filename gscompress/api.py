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
from gscompress.rate import aim
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
    do: Sequence[str] = (),
    ctx: Context | None = None,
) -> bytes:
    """The bytes of a ``.gscz`` file. Same scene, options and seed: same bytes.

    quality: 0 (smallest) to 100 (best), for presets that have the dial. target_size: bytes; the quality is searched so
    that the file is as large as possible below it. do: transforms to apply first, as ``"prune:ratio=0.3"``.
    Raises UsageError.
    """
    stream = io.BytesIO()
    _run(stream, scene, recipe_for(preset, quality=quality, do=do), target_size, ctx or Context())
    return stream.getvalue()


def compress_to_file(
    scene: Scene,
    path: str | os.PathLike[str],
    preset: str = "default",
    *,
    quality: float | None = None,
    target_size: int | None = None,
    do: Sequence[str] = (),
    ctx: Context | None = None,
    force: bool = False,
) -> Result:
    """``compress`` straight into a file, chunk by chunk; the file appears whole or not at all.

    Raises UsageError, OutputExistsError when it exists and ``force`` is off.
    """
    recipe = recipe_for(preset, quality=quality, do=do)
    with staged(path, force=force) as temporary, temporary.open("wb") as stream:
        return _run(stream, scene, recipe, target_size, ctx or Context())


def decompress(data: bytes, *, max_level: int | None = None, ctx: Context | None = None) -> Scene:
    """Decode the bytes of a ``.gscz`` file, up to ``max_level`` (0 is the base) when given. Raises UnreadableError."""
    return gscz.decode_last(Reader(data), (ctx or Context()).log, max_level)


def recipe_for(preset: str, *, quality: float | None = None, do: Sequence[str] = ()) -> Recipe:
    """The recipe behind a preset with the caller's wishes applied. Raises UsageError when it cannot use one of them."""
    recipe = PRESETS.get(preset).after(do)
    if quality is None:
        return recipe
    if not 0 <= quality <= 100:
        raise UsageError(f"quality {quality:g} is out of range: give 0 (smallest) to 100 (best)")
    return recipe.with_options(quality=float(quality))


def _run(stream: BinaryIO, scene: Scene, recipe: Recipe, target_size: int | None, ctx: Context) -> Result:
    if target_size is not None:
        if target_size <= 0:
            raise UsageError(f"target size {target_size} is not positive")
        if not hasattr(recipe.codec, "quality"):
            raise UsageError(f"preset '{recipe.name}' has no quality dial, so it cannot aim at a size")
    with ctx.log.phase("prepare"):
        prepared = recipe.prepare(scene, ctx)
    if target_size is None:
        with ctx.log.phase("encode"):
            return Result(recipe, gscz.encode(stream, prepared, recipe, ctx, len(scene)))
    used, data = aim(prepared, recipe, target_size, ctx, len(scene))
    stream.write(data)
    return Result(used, len(data))
