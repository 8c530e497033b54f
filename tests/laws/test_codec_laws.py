"""What every codec, preset and transform promises."""

from __future__ import annotations

import json
import math
from dataclasses import FrozenInstanceError, fields, replace
from typing import Any

import numpy as np
import pytest
from specimens import FRUIT, blob, odd_scenes

from gscompress import api, formats
from gscompress.codecs import CODECS
from gscompress.codecs.base import PHOTOS_OR_RENDERS
from gscompress.codecs.presets import PRESETS
from gscompress.config import from_config, to_config
from gscompress.container.reader import Reader, ledger
from gscompress.context import Context
from gscompress.errors import UnreadableError
from gscompress.recipe import Recipe
from gscompress.scene import Scene
from gscompress.transforms import TRANSFORMS

# Transforms that must be told what to do; all others are built from their defaults.
OPTIONS: dict[str, dict[str, Any]] = {"crop": {"box": (-1.0, -1.0, -1.0, 1.0, 1.0, 1.0)}, "frame": {"to": "RUB"}}
# Presets that tune against photos for minutes have these laws, with a few steps, in their own tests.
PLAIN = [name for name in PRESETS if not PRESETS.get(name).needs & {"photos", PHOTOS_OR_RENDERS}]
# Tuning takes its time and changes values, not the format: its law is that it repeats itself.
UNTUNED = [name for name in PLAIN if not getattr(PRESETS.get(name).codec, "tune", 0)]


def context(recipe: Recipe, scene: Scene) -> Context:
    """Few, small views where a preset judges by renders."""
    if "renderer" not in recipe.needs or not len(scene):
        return Context()
    from gscompress.renderers import RENDERERS
    from gscompress.viewpoints import generate

    return Context(renderer=RENDERERS.get("cpu")(), cameras=generate(scene, 3, width=64))


def compressed(scene: Scene, preset: str) -> bytes:
    return api.compress(scene, preset, ctx=context(PRESETS.get(preset), scene))


@pytest.mark.parametrize("name", list(TRANSFORMS))
def test_a_transform_is_its_config(name: str) -> None:
    cls: Any = TRANSFORMS.get(name)
    transform = cls(**OPTIONS.get(name, {}))
    stored = json.loads(json.dumps(to_config(transform)))
    assert from_config(cls, stored) == transform
    assert cls.name == name
    if fields(cls):
        with pytest.raises(FrozenInstanceError):
            setattr(transform, fields(cls)[0].name, None)


@pytest.mark.parametrize("name", list(CODECS))
def test_a_codec_is_its_config(name: str) -> None:
    cls: Any = CODECS.get(name)
    assert from_config(cls, json.loads(json.dumps(to_config(cls())))) == cls()
    assert cls.name == name
    assert cls.version >= 1


@pytest.mark.parametrize("name", list(PRESETS))
def test_a_preset_says_who_it_is(name: str) -> None:
    recipe = PRESETS.get(name)
    assert recipe.name == name
    assert recipe.description
    assert recipe.codec.name in CODECS
    assert all(transform.name in TRANSFORMS for transform in recipe.transforms)


@pytest.mark.parametrize("preset", PLAIN)
def test_same_scene_same_bytes_same_decoded_scene(preset: str) -> None:
    scene = blob(400)
    data = compressed(scene, preset)
    assert compressed(scene, preset) == data
    first, second = (api.decompress(data).splats for _ in range(2))
    for field in fields(first):
        if field.name != "extras":
            assert getattr(first, field.name).tobytes() == getattr(second, field.name).tobytes()
    assert ledger(Reader(data), len(scene)).total == len(data)
    Reader(data).check()


@pytest.mark.parametrize("preset", UNTUNED)
@pytest.mark.parametrize("name", odd_scenes())
def test_odd_scenes_come_back(preset: str, name: str) -> None:
    scene = odd_scenes()[name]
    back = api.decompress(compressed(scene, preset))
    assert (back.frame, back.model, back.meta) == (scene.frame, scene.model, scene.meta)
    assert back.splats.sh_degree == scene.splats.sh_degree
    assert len(back) <= len(scene)
    for array in (back.splats.means, back.splats.log_scales, back.splats.quats, back.splats.sh):
        assert np.isfinite(array).all()


@pytest.mark.parametrize("preset", UNTUNED)
def test_every_prefix_decodes_or_is_refused(preset: str) -> None:
    data = compressed(blob(20, 1), preset)
    decoded = 0
    for length in range(len(data)):
        try:
            api.decompress(data[:length])
            decoded += 1
        except UnreadableError:
            assert not decoded, "a longer prefix must not be worse"
    assert decoded


@pytest.mark.parametrize("preset", UNTUNED)
def test_the_row_order_carries_no_meaning(preset: str) -> None:
    scene = blob(300)
    shuffled = replace(scene, splats=scene.splats.take(np.random.default_rng(0).permutation(300)))
    ctx = context(PRESETS.get(preset), scene)
    sizes = [len(api.compress(s, preset, ctx=ctx)) for s in (scene, shuffled)]
    assert math.isclose(*sizes, rel_tol=0.02)


def test_a_decoded_file_is_a_scene_like_any_other(tmp_path: Any) -> None:
    scene = formats.read(FRUIT)
    formats.write(scene, tmp_path / "fruit.gscz")
    assert formats.detect(tmp_path / "fruit.gscz").name == "gscz"
    back = formats.read(tmp_path / "fruit.gscz")
    assert np.abs(np.sort(back.splats.means[:, 0]) - np.sort(scene.splats.means[:, 0])).max() < 0.05
