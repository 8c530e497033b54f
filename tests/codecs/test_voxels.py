"""Laws of coded voxel grids: exact decoding, pruning removes what does not show, the aim is met, damage is reported."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from damage import flips_refused
from field_specimens import cameras, voxel_field

from gscompress.codecs import field_gscz
from gscompress.codecs.field_codec import FieldContext
from gscompress.codecs.voxels import VoxelsCodec
from gscompress.container.reader import Reader
from gscompress.errors import UnreadableError, UsageError
from gscompress.events import EventLog
from gscompress.field import Field

CODEC = VoxelsCodec(quality=50, codes=32)


def packed(field: Field, codec: VoxelsCodec = CODEC, ctx: FieldContext | None = None) -> bytes:
    stream = io.BytesIO()
    field_gscz.encode(stream, field, codec, ctx or FieldContext())
    return stream.getvalue()


def unpacked(data: bytes) -> Field:
    return field_gscz.decode(Reader(data), EventLog())


@pytest.mark.parametrize("bands", [1, 4, 9])
def test_without_pictures_every_voxel_stays_in_its_place(bands: int) -> None:
    field = voxel_field(bands=bands)
    again = unpacked(packed(field, replace(CODEC, quality=90)))
    np.testing.assert_array_equal(again.tensors["mask"], field.tensors["mask"])
    spread = np.abs(field.tensors["density"]).max()
    assert np.abs(again.tensors["density"] - field.tensors["density"]).max() < 0.02 * spread
    base = [t["sh"].reshape(-1, 3, bands)[:, :, 0] for t in (again.tensors, field.tensors)]
    assert np.abs(base[0] - base[1]).max() < 0.05
    assert packed(field) == packed(field)


def test_judged_by_pictures_unseen_voxels_go_and_the_aim_is_met() -> None:
    pytest.importorskip("torch")
    from gscompress.renderers.field_judge import FieldJudge

    field = voxel_field()
    judge = FieldJudge(cameras(5, size=16), rays=700, trials=300)
    data = packed(field, CODEC, FieldContext(judge=judge))
    again = unpacked(data)
    assert again.tensors["mask"].sum() < field.tensors["mask"].sum()
    assert not (again.tensors["mask"] & ~field.tensors["mask"]).any()
    assert CODEC.aim - 2 < -10 * np.log10(judge.squared_error(field, again))
    assert len(data) < 0.2 * field.nbytes


def test_voxels_with_a_colour_of_their_own_are_closer() -> None:
    field = voxel_field()
    decoded = [unpacked(packed(field, replace(CODEC, keep=keep, codes=4, quality=80))) for keep in (0.0, 0.5)]
    view = [again.tensors["sh"].reshape(-1, 3, 4)[:, :, 1:] for again in decoded]
    truth = field.tensors["sh"].reshape(-1, 3, 4)[:, :, 1:]
    assert ((view[1] - truth) ** 2).mean() < 0.6 * ((view[0] - truth) ** 2).mean()


def test_damage_is_an_error_of_ours() -> None:
    data = packed(voxel_field(side=8))
    assert flips_refused(unpacked, data, 40) > 0.9
    with pytest.raises(UnreadableError):
        unpacked(data[: len(data) // 2])


def test_a_grid_that_is_too_large_is_refused() -> None:
    field = voxel_field(side=6)
    long = np.zeros((2000, 6, 6), bool)
    long[:6] = field.tensors["mask"]
    with pytest.raises(UsageError, match="1024"):
        packed(Field({**field.tensors, "mask": long}, field.spec))
