"""The lossless codec: every bit of every Gaussian, in any order, smaller than general-purpose compressors."""

from __future__ import annotations

import lzma
from dataclasses import replace

import numpy as np
import pytest
import zstandard
from specimens import FRUIT, blob, odd_scenes, rows

from gscompress import api, formats
from gscompress.container.reader import Reader
from gscompress.errors import UsageError
from gscompress.scene import Scene


@pytest.mark.parametrize("name", odd_scenes())
def test_every_bit_comes_back(name: str) -> None:
    scene = odd_scenes()[name]
    back = api.decompress(api.compress(scene, "lossless"))
    assert (rows(back) == rows(scene)).all()
    assert (back.frame, back.model, back.meta) == (scene.frame, scene.model, scene.meta)


def test_values_that_are_no_numbers_come_back() -> None:
    s = blob(200).splats
    rng = np.random.default_rng(1)
    wild = np.array([0x7FC00000, 0xFFC12345, 0x7F800000, 0xFF800000, 0x80000000, 1, 0x807FFFFF], np.uint32)
    arrays = {}
    for name in ("means", "log_scales", "quats", "logit_opacities", "sh"):
        array = getattr(s, name).copy()
        hit = rng.random(array.shape) < 0.2
        array[hit] = rng.choice(wild, int(hit.sum())).view(np.float32)
        arrays[name] = array
    scene = Scene(replace(s, **arrays))
    assert (rows(api.decompress(api.compress(scene, "lossless"))) == rows(scene)).all()


def test_extra_columns_move_with_their_gaussians() -> None:
    s = blob(300).splats
    extras = {
        "number": np.arange(300, dtype=np.int64),
        "x again": s.means[:, 0].astype(np.float64),
        "flag": np.arange(300) % 2 == 0,
        "matrix": np.arange(300 * 6, dtype=np.uint8).reshape(300, 2, 3),
    }
    back = api.decompress(api.compress(Scene(replace(s, extras=extras)), "lossless")).splats
    order = back.extras["number"]
    assert sorted(order) == list(range(300))
    for name, values in extras.items():
        assert back.extras[name].dtype == values.dtype
        assert (back.extras[name] == values[order]).all()
    assert (back.means == s.means[order]).all()


def test_extras_that_are_no_numbers_are_refused() -> None:
    scene = Scene(replace(blob(2).splats, extras={"words": np.array(["a", "b"])}))
    with pytest.raises(UsageError, match="words"):
        api.compress(scene, "lossless")


def test_each_level_adds_an_sh_band() -> None:
    scene = blob(100, 3)
    data = api.compress(scene, "lossless")
    assert Reader(data).placed[-3].level == 3
    for degree in range(4):
        base = api.decompress(data, max_level=degree)
        assert (rows(base) == rows(replace(scene, splats=scene.splats.with_sh_degree(degree)))).all()


def test_it_beats_general_compressors_on_the_transposed_file() -> None:
    scene = formats.read(FRUIT)
    s = scene.splats
    columns = [s.means, s.log_scales, s.quats, s.logit_opacities[:, None], s.sh.reshape(len(s), -1)]
    transposed = np.ascontiguousarray(np.concatenate(columns, axis=1).T).tobytes()
    ours = len(api.compress(scene, "lossless"))
    assert ours < 0.95 * len(lzma.compress(transposed, preset=9 | lzma.PRESET_EXTREME))
    assert ours < 0.95 * len(zstandard.ZstdCompressor(level=19).compress(transposed))
