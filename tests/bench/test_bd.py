"""Bjøntegaard deltas against published example numbers and laws."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gscompress.bench.bd import bd_psnr, bd_rate, curve, psnr_at, rate_at

# The example of FAU-LMS/bjontegaard (libx265), and the one of Anserw/Bjontegaard_metric. Values: bjontegaard 1.3.0,
# whose pchip agrees with the JVET spreadsheet (JVET-T2010) to ten places and whose cubic is VCEG-M33.
X265 = (
    list(zip([9487.76, 4593.60, 2486.44, 1358.24], [40.037, 38.615, 36.845, 34.851])),
    list(zip([9787.80, 4469.00, 2451.52, 1356.24], [40.121, 38.651, 36.970, 34.987])),
)
CLASSIC = (
    list(zip([686.76, 309.58, 157.11, 85.95], [40.28, 37.18, 34.24, 31.42])),
    list(zip([893.34, 407.8, 204.93, 112.75], [40.39, 37.21, 34.17, 31.24])),
)


@pytest.mark.parametrize(
    ("example", "method", "rate", "psnr"),
    [
        (X265, "pchip", -4.417485350589045, 0.11969278542479489),
        (X265, "cubic", -4.420462706026296, 0.12040941911471303),
        (CLASSIC, "pchip", 31.379878202397627, -1.1834724046224592),
        (CLASSIC, "cubic", 31.397374054908656, -1.184897921770328),
    ],
)
def test_published_examples(example, method, rate, psnr) -> None:
    anchor, test = map(curve, example)
    assert bd_rate(anchor, test, method) == pytest.approx(rate, abs=1e-7)
    assert bd_psnr(anchor, test, method) == pytest.approx(psnr, abs=1e-7)


@settings(max_examples=25, deadline=None)
@given(st.integers(4, 8), st.integers(0, 2**32))
def test_other_code_gives_the_same_on_any_curves(count: int, seed: int) -> None:
    reference = pytest.importorskip("bjontegaard")
    rng = np.random.default_rng(seed)
    rates = np.exp(10 + np.cumsum(rng.uniform(0.1, 0.8, (2, count)), axis=1))
    psnrs = 30 + rng.uniform(0, 1, (2, 1)) + np.cumsum(rng.uniform(0.5, 3, (2, count)), axis=1)
    anchor, test = (curve(list(zip(*pair))) for pair in zip(rates, psnrs))
    arguments = (rates[0], psnrs[0], rates[1], psnrs[1])
    for method in ("pchip", "cubic"):
        options = {"method": method, "require_matching_points": False, "min_overlap": 0}
        assert bd_rate(anchor, test, method) == pytest.approx(reference.bd_rate(*arguments, **options), abs=1e-6)
        if min(rates[:, -1]) > max(rates[:, 0]):
            assert bd_psnr(anchor, test, method) == pytest.approx(reference.bd_psnr(*arguments, **options), abs=1e-6)


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 9), st.floats(0.2, 5), st.integers(0, 2**32))
def test_a_curve_scaled_in_rate_differs_by_the_scale(count: int, scale: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rates = np.cumsum(rng.uniform(0.5, 2, count)) * 1e5
    psnrs = 30 + np.cumsum(rng.uniform(0.1, 3, count))
    anchor, test = curve(list(zip(rates, psnrs))), curve(list(zip(rates * scale, psnrs)))
    assert bd_rate(anchor, test) == pytest.approx(100 * (scale - 1), abs=1e-6)
    for rate, psnr in zip(rates, psnrs):
        assert rate_at(anchor, psnr) == pytest.approx(rate)
        assert psnr_at(anchor, rate) == pytest.approx(psnr)


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 12), st.integers(0, 2**32))
def test_interpolation_never_leaves_monotone_data(count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    known = curve(list(zip(np.cumsum(10 ** rng.uniform(0, 6, count)), np.cumsum(10 ** rng.uniform(-3, 2, count)))))
    inside = np.clip(np.geomspace(known.rates[0], known.rates[-1], 60), known.rates[0], known.rates[-1])
    between = [psnr_at(known, float(rate)) for rate in inside]
    assert all(a is not None and b is not None and a <= b + 1e-9 for a, b in pairwise(between))


def test_beaten_and_infinite_points_are_left_out() -> None:
    known = curve([(300, 41.0), (100, 40.0), (200, 39.0), (400, float("inf")), (100, 38.0), (0, 50.0)])
    assert known.rates.tolist() == [100, 300]
    assert known.psnrs.tolist() == [40, 41]


def test_curves_without_common_range_have_no_delta() -> None:
    low, high = curve([(100, 30), (200, 33)]), curve([(1000, 40), (2000, 43)])
    assert bd_rate(low, high) is None
    assert bd_psnr(low, high) is None
    assert bd_rate(low, curve([(100, 30)])) is None
    assert bd_rate(low, low, "cubic") is None  # two points make no cubic
    assert rate_at(low, 34) is None
    assert psnr_at(low, 99) is None
