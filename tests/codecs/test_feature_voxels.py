"""Laws of coded feature voxels: places are exact, values as close as asked, pruning does not show, damage is told."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from damage import flips_refused, refusals
from field_specimens import cameras, feature_voxel_field

from gscompress.codecs import field_gscz
from gscompress.codecs.feature_voxels import FeatureVoxelsCodec
from gscompress.codecs.field_codec import FieldContext
from gscompress.codecs.field_codecs import codec_for
from gscompress.container.reader import Reader
from gscompress.errors import UnreadableError, UsageError
from gscompress.events import EventLog
from gscompress.field import Field

CODEC = FeatureVoxelsCodec()


def packed(field: Field, codec: FeatureVoxelsCodec = CODEC, ctx: FieldContext | None = None) -> bytes:
    stream = io.BytesIO()
    field_gscz.encode(stream, field, codec, ctx or FieldContext())
    return stream.getvalue()


def unpacked(data: bytes) -> Field:
    return field_gscz.decode(Reader(data), EventLog())


@pytest.mark.parametrize("shaded", [False, True])
@pytest.mark.parametrize("dense", [False, True])
def test_without_pictures_everything_comes_back(shaded: bool, dense: bool) -> None:
    field = feature_voxel_field(shaded=shaded, dense=dense)
    assert isinstance(codec_for(field), FeatureVoxelsCodec)
    again = unpacked(packed(field, FeatureVoxelsCodec(quality=90)))
    assert again.spec == field.spec
    for name, array in field.tensors.items():
        if array.dtype == bool:
            np.testing.assert_array_equal(again.tensors[name], array, err_msg=name)
        else:
            assert np.abs(again.tensors[name] - array).max() < 0.03 * max(array.std(), 0.1), name
    assert packed(field) == packed(field)
    assert len(packed(field, FeatureVoxelsCodec(quality=20))) < 0.8 * len(packed(field, FeatureVoxelsCodec(quality=60)))


@pytest.mark.parametrize("shaded", [False, True])
def test_judged_by_pictures_hidden_voxels_go_and_the_aim_is_met(shaded: bool, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from gscompress.formats.fields import read_field, write_field
    from gscompress.renderers.field_judge import FieldJudge

    field = feature_voxel_field(shaded=shaded)
    judge = FieldJudge(cameras(6, size=20), rays=1500, trials=500)
    data = packed(field, CODEC, FieldContext(judge=judge))
    again = unpacked(data)
    assert again.tensors["mask"].sum() < 0.9 * field.tensors["mask"].sum()
    found = -10 * np.log10(judge.squared_error(field, again))
    assert CODEC.aim - 1 < found < CODEC.aim + 6
    assert len(data) < 0.3 * field.nbytes
    write_field(again, tmp_path / "a.tar")  # where voxels went, the checkpoint has empty ones: the same pictures
    assert judge.squared_error(again, read_field(tmp_path / "a.tar")) < 1e-10


def test_damage_is_an_error_of_ours() -> None:
    data = packed(feature_voxel_field(dense=False))
    assert flips_refused(unpacked, data, 40) > 0.9
    with pytest.raises(UnreadableError):
        unpacked(data[: len(data) // 2])


def test_damaged_streams_are_refused_or_decode_to_something() -> None:
    field = feature_voxel_field(dense=False)
    shapes = {n: (a.dtype.name, a.shape) for n, a in field.tensors.items()}
    (chunk,) = CODEC.encode(field, FieldContext())
    refused = refusals(lambda chunks: CODEC.decode(field.spec, shapes, chunks), chunk, 0)
    assert refused > 30


def test_forged_shapes_are_refused() -> None:
    field = feature_voxel_field(dense=False)
    shapes = {n: (a.dtype.name, a.shape) for n, a in field.tensors.items()}
    chunks = list(CODEC.encode(field, FieldContext()))
    count = len(field.tensors["density"])
    for forged in ((count + 1, 7), (count, 0), (count,), (count, 7, 1)):
        with pytest.raises(UnreadableError):
            CODEC.decode(field.spec, {**shapes, "features": ("float32", forged)}, chunks)


def test_what_has_no_place_is_named() -> None:
    field = feature_voxel_field()
    with pytest.raises(UsageError, match="camera"):
        packed(replace(field, tensors={**field.tensors, "camera": np.zeros(3, np.float32)}))
    with pytest.raises(UsageError, match="1024"):
        packed(replace(field, tensors={**field.tensors, "mask": np.zeros((2000, 1, 1), bool)}))
