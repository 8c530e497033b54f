"""Laws of coded networks: exact decoding, second-order rounding pays, the aim is met, corruption is reported."""

from __future__ import annotations

import io

import numpy as np
import pytest
from damage import flips_refused
from field_specimens import cameras, mlp_field
from hypothesis import given, settings
from hypothesis import strategies as st

from gscompress.codecs import field_gscz, matrices
from gscompress.codecs.field_codec import FieldContext
from gscompress.codecs.mlp import MlpCodec
from gscompress.container.reader import Reader
from gscompress.errors import UnreadableError, UsageError
from gscompress.events import EventLog
from gscompress.field import Field


def packed(field: Field, codec: MlpCodec, ctx: FieldContext | None = None) -> bytes:
    stream = io.BytesIO()
    field_gscz.encode(stream, field, codec, ctx or FieldContext())
    return stream.getvalue()


def unpacked(data: bytes) -> Field:
    return field_gscz.decode(Reader(data), EventLog())


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 9), st.integers(1, 12), st.floats(1e-4, 10), st.integers(0, 2**32 - 1))
def test_what_is_coded_decodes_to_the_same_weights(rows: int, columns: int, step: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(40, columns))
    whole = [
        matrices.quantize(rng.normal(size=(rows, columns)).astype(np.float32), step, x.T @ x, rng.random(rows)),
        matrices.quantize(rng.normal(size=(columns, rows)).astype(np.float32), step),
    ]
    again = matrices.decode(matrices.encode(whole), [q.symbols.shape for q in whole])
    for before, after in zip(whole, again):
        np.testing.assert_array_equal(before.values(), after.values())


def test_half_octave_powers_are_exact() -> None:
    k = np.arange(-100, 100)
    np.testing.assert_allclose(matrices.power(k), 2.0 ** (k / 2), rtol=1e-15)
    np.testing.assert_array_equal(matrices.power(k[::2]), 2.0 ** (k[::2] // 2))


def test_second_order_rounding_costs_less_than_rounding_alone_at_the_same_size() -> None:
    rng = np.random.default_rng(3)
    mixing = rng.normal(size=(30, 30)) * np.exp(-np.arange(30) / 6)
    x = rng.normal(size=(500, 30)) @ mixing
    moments = x.T @ x / len(x)
    weights = rng.normal(size=(60, 30)).astype(np.float32)

    def outcome(step: float, second_order: bool) -> tuple[int, float]:
        q = matrices.quantize(weights, step, moments if second_order else None)
        error = q.values() - weights
        return sum(map(len, matrices.encode([q]).values())), float(((error @ moments) * error).sum())

    size, cost = outcome(0.5, True)
    plain = [outcome(step, False) for step in np.geomspace(0.02, 3, 40)]
    best = min(c for s, c in plain if s <= size)
    assert cost < 0.7 * best


def test_a_field_survives_its_file() -> None:
    field = mlp_field()
    again = unpacked(packed(field, MlpCodec(quality=100)))
    assert again.spec == field.spec
    assert again.meta == field.meta
    for name, array in field.tensors.items():
        assert again.tensors[name].shape == array.shape
        assert np.abs(again.tensors[name] - array).max() < 0.05
    assert packed(field, MlpCodec(quality=100)) == packed(field, MlpCodec(quality=100))


def test_less_quality_takes_fewer_bytes() -> None:
    sizes = [len(packed(mlp_field(), MlpCodec(quality=q))) for q in (90.0, 60.0, 30.0)]
    assert sizes == sorted(sizes, reverse=True)


def test_judged_by_pictures_the_aim_is_met() -> None:
    pytest.importorskip("torch")
    from gscompress.renderers.field_judge import FieldJudge

    field, codec = mlp_field(), MlpCodec(quality=50)
    ctx = FieldContext(judge=FieldJudge(cameras(), rays=400, trials=300))
    again = unpacked(packed(field, codec, ctx))
    elsewhere = FieldJudge(cameras(), rays=400, seed=1)
    reached = -10 * np.log10(elsewhere.squared_error(field, again))
    assert codec.aim - 2 < reached < codec.aim + 6
    assert len(packed(field, codec, ctx)) < 0.25 * field.nbytes


def test_every_cut_and_flip_is_an_error_of_ours() -> None:
    data = packed(mlp_field(width=8), MlpCodec(quality=30))
    assert flips_refused(unpacked, data, 60) > 0.9
    for end in range(0, len(data) - 30, 97):
        with pytest.raises(UnreadableError):
            unpacked(data[:end])


def test_a_file_that_claims_more_than_it_could_hold_is_refused() -> None:
    data = packed(mlp_field(width=8), MlpCodec(quality=30))
    reader = Reader(data)
    reader.header["field"]["tensors"][0][2] = [1 << 20, 1 << 20]
    with pytest.raises(UnreadableError, match="bomb"):
        field_gscz.facts(reader)


def test_tensors_that_are_no_layers_are_refused() -> None:
    field = mlp_field()
    odd = Field({**field.tensors, "table": np.zeros(3, np.float32)}, field.spec)
    with pytest.raises(UsageError, match="other tensors"):
        packed(odd, MlpCodec())
