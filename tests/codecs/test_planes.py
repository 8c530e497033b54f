"""Laws of coded VM planes: the transform is orthonormal, what no ray sees costs nothing, the aim is met, damage."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from damage import refusals
from field_specimens import cameras, planes_field
from hypothesis import given, settings
from hypothesis import strategies as st

from gscompress.codecs import field_gscz, plane_blocks
from gscompress.codecs.field_codec import FieldContext
from gscompress.codecs.planes import PlanesCodec
from gscompress.container.reader import Reader
from gscompress.errors import GscompressError, UsageError
from gscompress.events import EventLog
from gscompress.field import Field


def packed(field: Field, codec: PlanesCodec | None = None, ctx: FieldContext | None = None) -> bytes:
    stream = io.BytesIO()
    field_gscz.encode(stream, field, codec or PlanesCodec(), ctx or FieldContext())
    return stream.getvalue()


def unpacked(data: bytes) -> Field:
    return field_gscz.decode(Reader(data), EventLog())


def test_the_waves_are_orthonormal() -> None:
    waves = plane_blocks._WAVES
    np.testing.assert_allclose(waves @ waves.T, np.eye(8), atol=1e-15)
    k, x = np.mgrid[:8, :8]
    expected = np.cos((2 * x + 1) * k * np.pi / 16) * np.where(k, 0.5, 0.125**0.5)
    np.testing.assert_allclose(waves, expected, atol=1e-15)


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 20), st.integers(1, 20), st.integers(1, 3), st.integers(0, 99))
def test_planes_of_any_size_come_back_as_fine_as_their_steps(h: int, w: int, features: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    plane = rng.normal(size=(h, w, features)).astype(np.float32)
    blocks = plane_blocks.quantize(plane, np.ones(plane.shape), 1e-8)
    assert np.abs(blocks.values(plane.shape) - plane).max() < 0.01
    (again,) = plane_blocks.decode(plane_blocks.encode([blocks], [plane.shape]), [plane.shape])
    for name in ("symbols", "steps", "factors"):
        np.testing.assert_array_equal(getattr(again, name), getattr(blocks, name), err_msg=name)


def test_what_no_ray_sees_costs_next_to_nothing() -> None:
    rng = np.random.default_rng(0)
    plane = rng.normal(size=(64, 64, 4)).astype(np.float32)
    seen = np.zeros(plane.shape)
    seen[:32] = 1.0

    def size(sensitivity: np.ndarray) -> int:
        blocks = plane_blocks.quantize(plane, sensitivity, 1e-3)
        return sum(map(len, plane_blocks.encode([blocks], [plane.shape]).values()))

    assert size(seen) < 0.6 * size(np.ones(plane.shape))
    shown = plane_blocks.quantize(plane, seen, 1e-3).values(plane.shape)
    assert np.abs(shown[:24] - plane[:24]).mean() < 0.2
    assert np.abs(shown[40:]).mean() < 0.3 * np.abs(plane[40:]).mean()


def test_smooth_planes_cost_less_than_rough_ones() -> None:
    rng = np.random.default_rng(0)
    rough = rng.normal(size=(64, 64, 2)).astype(np.float32)
    ramp = np.linspace(-1.7, 1.7, 64)
    smooth = np.repeat((ramp[:, None] + np.sin(3 * ramp))[:, :, None], 2, 2).astype(np.float32)
    sizes = [
        len(plane_blocks.encode([plane_blocks.quantize(p, np.ones(p.shape), 1e-4)], [p.shape])["coefficients"])
        for p in (smooth, rough)
    ]
    assert sizes[0] < 0.2 * sizes[1]


@pytest.mark.parametrize("shading", ["MLP_Fea", "SH"])
@pytest.mark.parametrize("mask", [False, True])
def test_without_pictures_everything_comes_back(shading: str, mask: bool) -> None:
    field = planes_field(shading=shading, mask=mask, side=20)
    again = unpacked(packed(field, PlanesCodec(quality=90)))
    assert again.spec == field.spec
    for name, array in field.tensors.items():
        assert np.abs(again.tensors[name].astype(float) - array).max() < 0.05 * max(array.std(), 0.1), name
    assert packed(field) == packed(field)
    assert len(packed(field, PlanesCodec(quality=20))) < 0.7 * len(packed(field, PlanesCodec(quality=60)))


def test_judged_by_pictures_the_aim_is_met() -> None:
    pytest.importorskip("torch")
    from gscompress.renderers.field_judge import FieldJudge

    field = planes_field(side=16)
    judge = FieldJudge(cameras(8, size=24), rays=4000, trials=400)
    codec = PlanesCodec(quality=40)
    data = packed(field, codec, FieldContext(judge=judge))
    found = -10 * np.log10(judge.squared_error(field, unpacked(data)))
    assert codec.aim - 1 < found < codec.aim + 6
    assert len(data) < 0.25 * field.nbytes


def test_damage_is_refused_or_decodes_to_something() -> None:
    field = planes_field(mask=True)
    codec, shapes = PlanesCodec(), {n: (a.dtype.name, a.shape) for n, a in field.tensors.items()}
    (chunk,) = codec.encode(field, FieldContext())
    refused = refusals(lambda chunks: codec.decode(field.spec, shapes, chunks), chunk, 0)
    assert refused > 60


def test_a_forged_shape_is_refused() -> None:
    field = planes_field()
    codec, shapes = PlanesCodec(), {n: (a.dtype.name, a.shape) for n, a in field.tensors.items()}
    chunks = list(codec.encode(field, FieldContext()))
    for forged in ((13, 0, 4), (13, 12), (26, 24, 4)):
        with pytest.raises(GscompressError):
            codec.decode(field.spec, {**shapes, "density.plane.0": ("float32", forged)}, chunks)


def test_what_has_no_place_is_named() -> None:
    field = planes_field()
    more = replace(field, tensors={**field.tensors, "camera": np.zeros(3, np.float32)})
    with pytest.raises(UsageError, match="camera"):
        packed(more)
