"""Which scalar quantizer, basis, domain and allocation earns its place: bits beside those of rounding at equal error.

    python scripts/measure_quantizers.py SCENE [--cameras FILE] [--rows N]

Prints Markdown tables of docs/quantization.md. Error is sum h e^2 with sensitivities measured on the encoding views.
Bits are those of the codec's own coder.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from quantizer_bench import LEVELS, Bench, arguments, by_cost, coded, groups, prepare

from gscompress.quant.allocation import choose
from gscompress.quant.domains import Asinh, Contraction, Logit, Power, SymmetricLog, pull_back
from gscompress.quant.linear import LUMA_CHROMA, YCOCG, fit_klt
from gscompress.quant.scalar import Uniform, fit_shift

QUANTIZERS = ["dead zone .4 + shift", "RDOQ", "one step for all"]


def error(z: Any, values: Any, steps: Any, h: Any) -> float:
    return float((h[:, None] * steps[:, None] ** 2 * np.square(z - values)).sum())


def weighted_error_table(bench: Bench) -> None:
    print("| group | bits of rounding | " + " | ".join(QUANTIZERS) + " |\n|---|--:|--:|--:|--:|")
    for name, x, h in groups(bench):
        wide = [bench.steps(h, d) for d in np.arange(LEVELS[0] - 12, LEVELS[-1] + 13, 3.0)]
        reference = []
        for s, k in wide:
            z = x / s[:, None]
            q = np.rint(z).astype(np.int64)
            reference.append((error(z, q, s, h), coded(q, bench, k, s)))
        curve = np.log(np.array(reference)[::-1]).T
        for level in LEVELS:
            s, k = bench.steps(h, level)
            print(f"| {name}, {level:.0f} dB | {' | '.join(row(x, s, k, h, bench, curve))} |", flush=True)


def row(x: Any, s: Any, k: Any, h: Any, bench: Bench, curve: Any) -> list[str]:
    errors, bits = curve
    z = x / s[:, None]
    nearest = np.rint(z).astype(np.int64)
    start = coded(nearest, bench, k, s)

    def saving(cost: float, e: float) -> str:
        return f"{100 * (cost / np.exp(np.interp(np.log(e), errors, bits)) - 1):+.1f} %"

    cells = [f"{start:.2f}"]
    dead = Uniform(1.0, 0.4, fit_shift(z, 1.0, 0.4))
    q = dead.encode(z)
    cells.append(saving(coded(q, bench, k, s), error(z, dead.decode(q), s, h)))
    q = by_cost(z, k, 1.0)
    cells.append(saving(coded(q, bench, k, s), error(z, q, s, h)))
    flat = one_step(x, h, error(z, nearest, s, h))
    q = np.rint(x / flat[:, None]).astype(np.int64)
    cells.append(f"{100 * (coded(q, bench, np.zeros(len(x), np.int64), flat) / start - 1):+.0f} %")
    return cells


def one_step(x: Any, h: Any, target: float) -> Any:
    """The step, the same for every row, at which rounding errs by ``target``."""
    low, high = 1e-6, 1e6
    for _ in range(40):
        flat = np.full(len(x), np.sqrt(low * high))
        z = x / flat[:, None]
        low, high = (low, flat[0]) if error(z, np.rint(z), flat, h) > target else (flat[0], high)
    return flat


def bases_table(bench: Bench) -> None:
    """Bits of SH at equal weighted error in five bases."""
    print("\n| | RGB | YCoCg | luma-chroma | KLT, int16 | KLT, int8 |\n|---|--:|--:|--:|--:|--:|")
    splats, h = bench.scene.splats, bench.h["sh"]
    higher = splats.sh[:, 1:].reshape(len(splats), -1).astype(float)
    bands = np.eye(higher.shape[1] // 3)
    # Rounding errors of YCoCg reach RGB with gains; finer steps make up for them.
    gains = np.tile(np.sqrt(np.square(np.linalg.inv(YCOCG)).sum(0)), len(bands))
    for level in LEVELS:
        s, k = bench.steps(h, level)
        fitted = [fit_klt(higher, 1 / np.square(s), width).forward(higher) for width in (2, 1)]
        ycocg, luma = higher @ np.kron(bands, YCOCG).T * gains, higher @ np.kron(bands, LUMA_CHROMA).T
        cells = []
        for x in [higher, ycocg, luma, *fitted]:
            z = x / s[:, None]
            symbols = np.rint(z[:, np.argsort(-np.square(z).mean(0), kind="stable")]).astype(np.int64)
            cells.append(coded(symbols, bench, k, s))
        print(f"| SH, {level:.0f} dB | " + " | ".join(f"{c:.2f}" for c in cells) + " |", flush=True)


def domains_table(bench: Bench) -> None:
    """Bits per coefficient that one step for all costs in a domain, at high rate: (log2 mean h - mean log2 h) / 2."""
    print("\n| attribute | domain | bits lost by one step |\n|---|---|--:|")
    splats = bench.scene.splats
    logits = splats.logit_opacities.astype(np.float64)
    alpha = 1 / (1 + np.exp(-logits))
    scales, h = np.exp(splats.log_scales.astype(np.float64)), bench.h
    slopes = {
        ("opacity", "logit, as stored"): (h["logit_opacities"], 1.0),
        ("opacity", "linear"): (h["logit_opacities"], 1 / Logit().slope(alpha)),
        ("opacity", "logarithm"): (h["logit_opacities"], 1 - alpha),
        ("scales", "logarithm, as stored"): (h["log_scales"], 1.0),
        ("scales", "linear"): (h["log_scales"], scales),
        ("DC", "linear, as stored"): (h["dc"], 1.0),
    }
    rows = [(*names, value / np.square(slope)) for names, (value, slope) in slopes.items()]
    if splats.sh_degree:
        sh, worth = splats.sh[:, 1:].astype(np.float64), bench.h["sh"][:, None, None]
        rows.append(("SH", "linear, as stored", worth))
        for exponent in (0.7, 0.5):
            floor = np.abs(sh).mean() / 16  # zero has an infinite slope
            companded = pull_back(Power(exponent), np.maximum(np.abs(sh), floor), worth)
            rows.append(("SH", f"companded, power {exponent}", companded))
    means = splats.means - np.median(splats.means, 0)
    spread = float(np.median(np.abs(means)))
    for label, domain in (
        ("linear, as stored", None),
        ("asinh", Asinh(spread)),
        ("symmetric logarithm (SOG)", SymmetricLog()),
        ("contraction (Mip-NeRF 360)", Contraction((0.0, 0.0, 0.0), 2 * spread)),
    ):
        worth = h["means"].mean(1, keepdims=True)
        rows.append(("positions", label, worth if domain is None else pull_back(domain, means, worth)))
    rows.append(("positions", "in units of the thinnest axis", h["means"].mean(1) * np.square(scales.min(1))))
    for attribute, label, found in rows:
        worth = np.maximum(found, np.quantile(found, 0.02) + 1e-18)
        lost = (np.log2(worth.mean()) - np.log2(worth).mean()) / 2
        print(f"| {attribute} | {label} | {lost:.2f} |", flush=True)


def allocation_table(bench: Bench) -> None:
    """Weighted error of equal slopes and of the best points on hulls of measured curves, at the bits of the former."""
    print("\n| bits | equal slopes, closed form | best of measured hulls |\n|---|--:|--:|")
    levels, curves = np.arange(LEVELS[0] - 8, LEVELS[-1] + 9, 1.0), []
    for _, x, h in groups(bench):
        points = []
        for s, k in (bench.steps(h, d) for d in levels):
            z = x / s[:, None]
            q = np.rint(z).astype(np.int64)
            points.append((coded(q, bench, k, s), error(z, q, s, h)))
        curves.append(np.array(points).T)
    for level in LEVELS:
        at = int(np.argmin(np.abs(levels - level)))
        rate, total = (sum(float(c[i, at]) for c in curves) for i in (0, 1))
        found = choose([(c[0], c[1]) for c in curves], rate)
        best = sum(float(c[1, i]) for c, i in zip(curves, found))
        print(f"| {rate:.1f} | 0 dB | {10 * np.log10(best / total):+.2f} dB |", flush=True)


def main() -> None:
    given = arguments(__doc__)
    bench = prepare(given.scene, given.cameras, given.rows)
    print(f"{given.scene.name}: {len(bench.scene):,} Gaussians\n")
    weighted_error_table(bench)
    if bench.scene.splats.sh_degree:
        bases_table(bench)
    domains_table(bench)
    allocation_table(bench)


if __name__ == "__main__":
    main()
