"""Vector quantization: exact assignment, falling cost, weights, prices of bits, stages and products."""

from __future__ import annotations

import numpy as np
import pytest

from gscompress.errors import UsageError
from gscompress.quant.composite import fit_product, fit_residual
from gscompress.quant.vector import Codebook, assign, fit_kmeans


def clusters(rows=3000, columns=6, centres=20, spread=0.05):
    rng = np.random.default_rng(0)
    middle = rng.normal(size=(centres, columns))
    return (middle[rng.integers(0, centres, rows)] + spread * rng.normal(size=(rows, columns))).astype(np.float32)


def squares(x, codes, weights=None):
    return np.square(x[:, None] - codes[None]) * (1 if weights is None else weights[:, None])


def test_assignment_is_the_exhaustive_one():
    rng = np.random.default_rng(1)
    x, codes = rng.normal(size=(400, 5)).astype(np.float32), rng.normal(size=(33, 5)).astype(np.float32)
    per_vector, per_component = rng.uniform(0.1, 3, 400), rng.uniform(0.1, 3, (400, 5))
    book = Codebook(codes, rng.uniform(1, 8, 33))
    plain = squares(x, codes).sum(2)
    assert np.array_equal(assign(x, book), plain.argmin(1))
    assert np.array_equal(assign(x, book, per_component), squares(x, codes, per_component).sum(2).argmin(1))
    priced = plain * per_vector[:, None] + 0.3 * book.bits
    assert np.array_equal(assign(x, book, per_vector, price=0.3), priced.argmin(1))


def test_more_rounds_and_more_codes_never_hurt():
    x = clusters(centres=200, spread=0.3)
    by_rounds = [np.square(x - b.decode(assign(x, b))).sum() for b in (fit_kmeans(x, 16, None, n) for n in (0, 1, 4))]
    assert (np.diff(by_rounds) < 0).all()
    by_size = [np.square(x - b.decode(assign(x, b))).sum() for b in (fit_kmeans(x, k) for k in (4, 16, 64, 256))]
    assert (np.diff(by_size) < 0).all()


def test_clear_clusters_are_found():
    x = clusters()
    book = fit_kmeans(x, 30)
    assert np.square(x - book.decode(assign(x, book))).mean() < 1.5 * 0.05**2


def test_same_seed_same_codebook():
    x = clusters()
    assert np.array_equal(fit_kmeans(x, 32, seed=5).codes, fit_kmeans(x, 32, seed=5).codes)
    assert not np.array_equal(fit_kmeans(x, 32, seed=5).codes, fit_kmeans(x, 32, seed=6).codes)


def test_heavy_vectors_get_the_codes():
    x = clusters(centres=300, spread=0.3)
    w = np.where(np.arange(len(x)) < 100, 1000.0, 1.0)
    light, heavy = fit_kmeans(x, 32), fit_kmeans(x, 32, w)
    error = [np.square(x - b.decode(assign(x, b)))[:100].mean() for b in (light, heavy)]
    assert error[1] < 0.7 * error[0]


def test_component_weights_shape_the_codebook():
    x = clusters(centres=300, spread=0.3)
    w = np.tile(np.array([100.0, 1, 1, 1, 1, 1]), (len(x), 1))
    plain, shaped = fit_kmeans(x, 32), fit_kmeans(x, 32, w)
    before = np.square(x - plain.decode(assign(x, plain)))[:, 0].mean()
    assert np.square(x - shaped.decode(assign(x, shaped, w)))[:, 0].mean() < 0.5 * before


def test_no_code_is_dead_and_distinct_rows_are_kept_exactly():
    x = np.repeat(np.random.default_rng(2).normal(size=(7, 3)), 30, axis=0).astype(np.float32)
    book = fit_kmeans(x, 50)
    assert len(book.codes) <= 7
    assert np.array_equal(book.decode(assign(x, book)), x)
    book = fit_kmeans(clusters(), 64, iterations=3)
    assert len(np.unique(assign(clusters(), book))) > 60


def test_equal_rows_make_one_code():
    x = np.full((10, 4), 2.5, np.float32)
    assert np.array_equal(fit_kmeans(x, 8).codes, x[:1])


def test_a_price_of_bits_trades_error_for_entropy():
    """Entropy-constrained codebooks reach less error at the same index entropy than plain ones."""
    x = np.random.default_rng(3).laplace(size=(8000, 2)).astype(np.float32)

    def point(book, price):
        codes = assign(x, book, price=price)
        share = np.bincount(codes)[np.bincount(codes) > 0] / len(x)
        return -(share * np.log2(share)).sum(), np.square(x - book.decode(codes)).sum(1).mean()

    plain = [point(fit_kmeans(x, k, iterations=25), 0.0) for k in (8, 16, 32, 64, 128)]
    rates, errors = np.array(plain).T
    rate, error = point(fit_kmeans(x, 256, iterations=25, price=0.1), 0.1)
    assert rates[0] < rate < rates[-1]
    assert np.log(error) < np.interp(rate, rates, np.log(errors)) - 0.05
    cheaper = point(fit_kmeans(x, 256, iterations=25, price=0.3), 0.3)
    assert cheaper[0] < rate
    assert cheaper[1] > error


def test_residual_stages_refine_and_a_wider_beam_never_hurts():
    x = clusters(centres=500, spread=0.3)
    book = fit_residual(x, 16, 3)
    codes = book.encode(x, beam=8)
    by_stage = [np.square(x - book.decode(codes, stages=s)).mean() for s in (1, 2, 3)]
    assert (np.diff(by_stage) < 0).all()
    greedy = np.square(x - book.decode(book.encode(x, beam=1))).sum(1)
    assert np.square(x - book.decode(codes)).sum() < greedy.sum()


def test_a_full_beam_is_the_exhaustive_search():
    x = clusters(rows=60, centres=60, spread=0.5)
    book = fit_residual(x, 4, 3)
    every = np.stack(np.meshgrid(*[np.arange(4)] * 3, indexing="ij"), -1).reshape(-1, 3)
    best = squares(x, book.decode(every)).sum(2).min(1)
    found = np.square(x - book.decode(book.encode(x, beam=64))).sum(1)
    np.testing.assert_allclose(found, best, rtol=1e-5)


def test_product_codes_are_the_codes_of_their_parts():
    x = clusters(centres=300, spread=0.3)
    w = np.random.default_rng(4).uniform(0.5, 2, x.shape)
    book = fit_product(x, 16, [(0, 3), (1, 2, 4, 5)], w)
    codes = book.encode(x, w)
    assert codes.shape == (len(x), 2)
    for m, group in enumerate(book.groups):
        assert np.array_equal(codes[:, m], assign(x[:, group], book.parts[m], w[:, group]))
        assert np.array_equal(book.decode(codes)[:, group], book.parts[m].decode(codes[:, m]))


def test_impossible_requests_are_refused():
    with pytest.raises(UsageError):
        fit_kmeans(np.zeros((0, 3)), 4)
    with pytest.raises(UsageError):
        fit_product(np.zeros((5, 3)), 4, [(0, 1)])
    with pytest.raises(UsageError):
        assign(np.zeros((5, 3)), Codebook(np.zeros((2, 3), np.float32)), price=1.0)
