"""Bases: coding gain, orthogonality as stored, and decoding that does not depend on the order of summation."""

from __future__ import annotations

import numpy as np
import pytest

from gscompress.errors import UnreadableError
from gscompress.quant.linear import LUMA_CHROMA, YCOCG, Basis, fit_klt


def correlated(rows=4000, columns=9):
    rng = np.random.default_rng(0)
    return rng.normal(size=(rows, columns)) @ np.diag(2.0 ** -np.arange(columns)) @ rng.normal(size=(columns, columns))


def test_luma_chroma_is_orthonormal_and_along_ycocg():
    np.testing.assert_allclose(LUMA_CHROMA @ LUMA_CHROMA.T, np.eye(3), atol=1e-12)
    cosines = (LUMA_CHROMA[1:] * YCOCG[1:]).sum(1) / np.linalg.norm(YCOCG[1:], axis=1)
    np.testing.assert_allclose(cosines, 1, atol=1e-12)


@pytest.mark.parametrize(("width", "tolerance"), [(1, 0.03), (2, 2e-4)])
def test_klt_compacts_energy_in_order_and_stays_near_orthogonal(width, tolerance):
    x = correlated()
    basis = fit_klt(x, width=width)
    energy = np.square(basis.forward(x)).mean(0)
    assert (np.diff(energy) <= 0.05 * energy[:-1]).all()
    np.testing.assert_allclose(basis.matrix @ basis.matrix.T, np.eye(9), atol=tolerance)
    # Coding gain: the geometric mean of the variances falls.
    assert np.log2(energy).mean() < np.log2(np.square(x).mean(0)).mean() - 0.5


def test_weights_turn_the_klt_towards_heavy_rows():
    x = np.array([[1.0, 0.0], [0.0, 2.0]])
    np.testing.assert_allclose(fit_klt(x, np.array([100.0, 1.0])).matrix[0], [1, 0], atol=1e-4)
    np.testing.assert_allclose(fit_klt(x).matrix[0], [0, 1], atol=1e-4)


@pytest.mark.parametrize("width", [1, 2])
def test_forward_is_the_exact_inverse_of_what_is_stored(width):
    basis = Basis.unpack(fit_klt(correlated(), width=width).pack())
    symbols = np.random.default_rng(1).integers(-500, 500, (100, 9))
    np.testing.assert_allclose(basis.forward(basis.inverse(symbols, 0.25)) / 0.25, symbols, atol=1e-8)


def test_decoding_equals_integer_arithmetic_bit_for_bit():
    basis = fit_klt(correlated())
    rng = np.random.default_rng(2)
    symbols, steps = rng.integers(-(2**23), 2**23, (50, 9)), rng.uniform(0.1, 1, 50)
    exact = np.array([[sum(int(q) * int(r) for q, r in zip(row, col)) for col in basis.rows.T] for row in symbols])
    expected = exact.astype(np.float64) * (steps * 2.0**-basis.fraction)[:, None]
    assert np.array_equal(basis.inverse(symbols, steps), expected)


def test_pack_returns_the_same_basis_and_refuses_damage():
    basis = fit_klt(correlated())
    data = basis.pack()
    again = Basis.unpack(data)
    assert np.array_equal(again.rows, basis.rows)
    assert again.fraction == basis.fraction
    for damaged in (b"", data[:-1], data + b"\0", bytes([9, 3]) + data[2:]):
        with pytest.raises(UnreadableError):
            Basis.unpack(damaged)
