"""What codes of fixed length, codebooks and codes for rotations cost beside entropy-coded rounding at equal error.

    python scripts/measure_codebooks.py SCENE [--cameras FILE] [--rows N]

Prints Markdown tables of docs/quantization.md. Error is sum h e^2 with sensitivities measured on the encoding views.
Bits of rounding are those of the codec's own coder; codebooks pay 16 bits per entry and order-0 entropies of indices.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from quantizer_bench import CLASSES, Bench, arguments, coded, entropy, groups, prepare

from gscompress.quant.composite import fit_product, fit_residual
from gscompress.quant.rotation import from_parameters, leading_axis, sort_axes, to_parameters
from gscompress.quant.scalar import fit_lloyd_max, minifloat
from gscompress.quant.spherical import (
    decode_canonical,
    encode_canonical,
    pack_smallest_three,
    unpack_smallest_three,
)
from gscompress.quant.vector import assign, fit_kmeans


def vector_table(bench: Bench) -> None:
    """Codes beside rounding at the error that they reach."""
    print("\n| code | bits | rounding at that error | difference |\n|---|--:|--:|--:|")
    for name, x, h in groups(bench):
        if name == "opacity":
            continue
        reference = []
        for d in np.arange(-20.0, 92.0, 4.0):
            s, k = bench.steps(h, d)
            q = np.rint(x / s[:, None]).astype(np.int64)
            reference.append(((h[:, None] * np.square(x - q * s[:, None])).sum(), coded(q, bench, k, s)))
        errors, bits = np.array(reference)[::-1].T
        order = np.argsort(errors)
        w = np.clip(h, np.quantile(h, 0.05) + 1e-14, np.quantile(h, 0.999))
        for label, decoded, cost, book in codes(x, w):
            e = (h[:, None] * np.square(x - decoded)).sum()
            rounding = np.interp(np.log(e), np.log(errors[order]), bits[order])
            total = cost + 16 * book / len(x)
            at = f"| {name}: {label} | {total:.2f} | {rounding:.2f} | {100 * (total / rounding - 1):+.0f} % |"
            print(at, flush=True)


def codes(x: Any, w: Any) -> list[tuple[str, Any, float, int]]:
    """Label, decoded values, bits per row and entries of the codebooks."""
    zero, out = np.zeros(len(x), np.int64), []
    for size in (256, 4096):
        book = fit_kmeans(x, size, w)
        i = assign(x, book)
        decoded = book.decode(i)
        out.append((f"k-means {size}, fixed length", decoded, float(np.log2(size)), book.codes.size))
        out.append((f"k-means {size}, entropy-coded", decoded, entropy(i[:, None], zero), book.codes.size))
    price = float(np.median(w) * np.square(x - decoded).sum(1).mean() / 4)
    book = fit_kmeans(x, 4096, w, price=price)
    i = assign(x, book, w, price)
    out.append(("entropy-constrained", book.decode(i), entropy(i[:, None], zero), book.codes.size))
    stack = fit_residual(x, 64, 6, w)
    i = stack.encode(x)
    cost = sum(entropy(i[:, m : m + 1], zero) for m in range(6))
    out.append(("residual 6 x 64, beam 8", stack.decode(i), cost, 6 * 64 * x.shape[1]))
    if x.shape[1] > 3:
        split = np.array_split(np.arange(x.shape[1]), 5)
        product = fit_product(x, 256, [tuple(map(int, part)) for part in split], w)
        i = product.encode(x)
        cost = sum(entropy(i[:, m : m + 1], zero) for m in range(5))
        out.append(("product 5 x 256", product.decode(i), cost, 256 * x.shape[1]))
    decoded = np.empty_like(x)
    for c in range(x.shape[1]):
        levels = fit_lloyd_max(x[:, c], 16, w)
        decoded[:, c] = levels.decode(levels.encode(x[:, c]))
    out.append(("Lloyd-Max 16 levels, fixed length", decoded, 4.0 * x.shape[1], 16 * x.shape[1]))
    grid = minifloat(4, 3)
    scale = np.abs(x).max(0) / grid.values[-1]
    decoded = grid.decode(grid.encode(x / scale)) * scale
    out.append(("minifloat E4M3, fixed length", decoded, 8.0 * x.shape[1], x.shape[1]))
    return out


def rotation_table(bench: Bench) -> None:
    """Bits per rotation at the weighted error of the codec's direction and angle."""
    print("\n| rotation code | bits | direction + angle at that error |\n|---|--:|--:|")
    splats = bench.scene.splats
    log_scales, axes = sort_axes(splats.log_scales, splats.quats)
    by_size = np.argsort(-splats.log_scales.astype(float), axis=1, kind="stable")
    h = np.take_along_axis(bench.h["turns"], by_size, 1)
    shape = np.array([np.abs(np.sinh(log_scales[:, a] - log_scales[:, b])) for a, b in ((1, 2), (0, 2), (0, 1))]).T

    def error(found: Any) -> float:
        found = found * np.where((found * axes).sum(2, keepdims=True) < 0, -1, 1)
        turns = [
            ((found[:, a] * axes[:, b]).sum(1) - (found[:, b] * axes[:, a]).sum(1)) / 2
            for a, b in ((1, 2), (2, 0), (0, 1))
        ]
        return float((h * np.square(np.stack(turns, 1))).sum())

    def from_quats(q: Any) -> Any:
        return np.take_along_axis(sort_axes(np.zeros((len(q), 3)), q)[1], by_size[:, :, None], 1)

    curve = [directions(bench, log_scales, axes, shape, h, level) for level in np.arange(22.0, 71.0, 4.0)]
    errors, bits = np.array([(error(found), cost) for found, cost in curve])[::-1].T
    for label, q, cost in rotation_codes(bench):
        rounding = np.interp(np.log(error(from_quats(q))), np.log(errors), bits)
        print(f"| {label} | {cost:.2f} | {rounding:.2f} |", flush=True)


def directions(bench: Bench, log_scales: Any, axes: Any, shape: Any, h: Any, level: float) -> tuple[Any, float]:
    """The codec's own code of rotations: decoded axes and bits."""
    s, _ = bench.steps((h / (2 * shape + 0.02) ** 2).mean(1), level)
    lead = leading_axis(log_scales)
    face, parameters = to_parameters(axes, lead)
    about = np.where(lead == 0, shape[:, 0], shape[:, 2])
    direction = np.clip(s / (2 * shape[:, 1] + 0.02), 2.0**-14, 0.8)[:, None] / (np.pi / 4)
    turns = np.maximum(np.rint(np.pi / np.clip(s / (2 * about + 0.02), 2.0**-14, 3)), 1)
    warped = np.rint(parameters[:, :2] / direction)
    angle = np.rint(parameters[:, 2] / np.pi * turns) % turns
    back = np.column_stack([np.clip(warped * direction, -1, 1), angle * np.pi / turns])
    fine = np.clip(-np.frexp(direction[:, 0])[1] + 1, 0, CLASSES - 1)
    many = np.clip(np.frexp(turns)[1], 0, CLASSES - 1)
    cost = coded(face[:, None], bench, np.zeros(len(face), np.int64), np.ones(len(face)))
    cost += coded(warped, bench, fine, direction[:, 0]) + coded(angle[:, None], bench, many, 1 / turns)
    return from_parameters(face, back, lead), cost


def rotation_codes(bench: Bench) -> list[tuple[str, Any, float]]:
    """Label, quaternions and bits of codes that do not know the Gaussian's shape."""
    quats = bench.scene.splats.quats
    none, one = np.zeros(len(quats), np.int64), np.ones(len(quats))
    out: list[tuple[str, Any, float]] = []
    for width in (10, 8, 7):
        words = pack_smallest_three(quats, width).astype(np.int64)
        q, mask = unpack_smallest_three(words, width), (1 << width) - 1
        if width == 10:
            out.append(("smallest three, 32 bits", q, 32.0))
        split = [words >> (3 * width), *((words >> (width * m) & mask) - (1 << width >> 1) for m in (2, 1, 0))]
        cost = coded(np.stack(split, 1), bench, none, one)
        out.append((f"smallest three, 2 + 3 x {width} bits, entropy-coded", q, cost))
        three = encode_canonical(quats, width)
        cost = coded(three - (1 << width >> 1), bench, none, one)
        out.append((f"half-turn canonical, 3 x {width} bits, entropy-coded", decode_canonical(three, width), cost))
    return out


def main() -> None:
    given = arguments(__doc__)
    bench = prepare(given.scene, given.cameras, given.rows)
    print(f"{given.scene.name}: {len(bench.scene):,} Gaussians")
    rotation_table(bench)
    vector_table(bench)


if __name__ == "__main__":
    main()
