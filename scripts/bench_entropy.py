"""Size over the ideal and speed of every entropy coder, beside constriction (pip install constriction).

    python scripts/bench_entropy.py [--symbols 1000000] [--rounds 5] [--scene FILE]

Times are the least process time of the rounds, after a first round that compiles. "over ideal" compares with the
empirical entropy of the symbols (rANS) or with the cost of the model's own decisions (plane); tables are not counted.
With --scene, the planes that the preset "fast" makes of a scene are measured too.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any
from unittest import mock

import constriction
import numpy as np

import gscompress
from gscompress.entropy.binary import ideal_bits
from gscompress.entropy.plane import PlaneDecoder, PlaneEncoder, Shape, Side
from gscompress.entropy.rans import decode, encode
from gscompress.entropy.rans_adaptive import decode_adaptive, encode_adaptive
from gscompress.entropy.rans_tables import Tables
from gscompress.entropy.run_length import decode_sparse, encode_sparse

Array = np.ndarray[Any, Any]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--symbols", type=int, default=1_000_000)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--scene", help="any scene that gscompress reads")
    chosen = options.parse_args()
    rng = np.random.default_rng(0)
    print(f"{'coder and data':44s}{'bytes':>10s}{'over ideal':>12s}{'encode':>10s}{'decode':>10s}  (ns a symbol)")
    for spread in (0.3, 3.0, 30.0):
        symbols = np.abs(np.round(rng.laplace(0, spread, chosen.symbols))).astype(np.int32).clip(0, 255)
        print(f"-- one table, Laplace of spread {spread}")
        one_table(symbols, chosen.rounds)
    print("-- a table for each of 16 classes, Laplace of spread 0.1 to 20")
    classes = rng.integers(0, 16, chosen.symbols)
    spreads = 0.1 * 200 ** (np.arange(16) / 15)
    symbols = np.abs(np.round(rng.laplace(0, spreads[classes]))).astype(np.int32).clip(0, 255)
    conditional(symbols, classes, chosen.rounds)
    print("-- signed planes with classes, the binary model")
    signed = np.where(rng.random(chosen.symbols) < 0.5, -symbols, symbols).astype(np.int32)
    plane(signed.reshape(-1, 1), classes.astype(np.uint16), chosen.rounds)
    print("-- one symbol in a hundred is not zero")
    sparse = np.where(rng.random(chosen.symbols) < 0.01, signed, 0).astype(np.int32)
    row(
        "run lengths",
        *timed(lambda: encode_sparse(sparse), lambda d: decode_sparse(d, len(sparse)), chosen.rounds),
        sparse,
    )
    plane(sparse.reshape(-1, 1), np.zeros(len(sparse), np.uint16), chosen.rounds)
    if chosen.scene:
        scene(chosen.scene, chosen.rounds)


def scene(path: str, rounds: int) -> None:
    """All planes of a file together: size over what the model's decisions cost, and decoding of the whole file."""
    gaussians, ideal, sizes, finish = gscompress.read(path), [], [], PlaneEncoder.finish

    def counted(coder: PlaneEncoder) -> bytes:
        ideal.append(ideal_bits(coder._coder, coder._log))
        data = finish(coder)
        sizes.append(len(data))
        return data

    with mock.patch.object(PlaneEncoder, "finish", counted):
        packed = gscompress.compress(gaussians, preset="fast")
    best = timed(lambda: packed, gscompress.decompress, rounds)[2]
    over = 8 * sum(sizes) / sum(ideal) - 1
    print(f"-- {path}, preset fast: {len(gaussians):,} Gaussians, {len(packed):,} bytes")
    print(f"{len(sizes)} planes, {sum(sizes):,} bytes, {100 * over:.4f} % over the cost of the model's decisions")
    print(f"decoding the file: {1e9 * best / len(gaussians):,.0f} ns of processor time a Gaussian")


def timed(write: Callable[[], Any], read: Callable[[Any], Any], rounds: int) -> tuple[Any, float, float]:
    """What was written, and the least seconds of both directions."""
    data = write()
    read(data)
    best = [np.inf, np.inf]
    for _ in range(rounds):
        start = time.process_time()
        data = write()
        middle = time.process_time()
        read(data)
        best = [min(best[0], middle - start), min(best[1], time.process_time() - middle)]
    return data, best[0], best[1]


def row(name: str, data: Any, written: float, read: float, symbols: Array, ideal: float | None = None) -> None:
    size = data.nbytes if isinstance(data, np.ndarray) else len(data)
    over = "" if ideal is None else f"{100 * (size * 8 / ideal - 1):.3f} %"
    each = 1e9 / symbols.size
    print(f"{name:44s}{size:10,d}{over:>12s}{written * each:10.1f}{read * each:10.1f}")


def one_table(symbols: Array, rounds: int) -> None:
    counts = np.bincount(symbols)
    ideal = entropy(counts)
    for precision in (12, 14, 15):
        tables = Tables.from_counts(counts, precision)
        result = timed(lambda t=tables: encode(symbols, t), lambda d, t=tables: decode(d, len(symbols), t), rounds)
        row(f"rANS, {precision} bits (+ table {len(tables.pack())} B)", *result, symbols, ideal)
    model = constriction.stream.model.Categorical(counts / counts.sum(), perfect=False)
    other = peer(symbols, rounds, model)
    row(f"constriction ANS (decodes {other[2] / result[2]:.1f} times as long)", *other, symbols, ideal)
    alphabet = len(counts)
    result = timed(
        lambda: encode_adaptive(symbols, alphabet), lambda d: decode_adaptive(d, len(symbols), alphabet), rounds
    )
    row("rANS, learning table", *result, symbols, ideal)


def conditional(symbols: Array, classes: Array, rounds: int) -> None:
    counts = np.zeros((16, 256), np.int64)
    np.add.at(counts, (classes, symbols), 1)
    ideal = sum(entropy(row) for row in counts)
    tables = Tables.from_counts(counts, 14)
    result = timed(lambda: encode(symbols, tables, classes), lambda d: decode(d, len(symbols), tables, classes), rounds)
    row(f"rANS, 14 bits (+ tables {len(tables.pack())} B)", *result, symbols, ideal)
    some = slice(0, min(len(symbols), 50_000))
    probabilities = (counts / counts.sum(1, keepdims=True)).astype(np.float32)[classes[some]]
    model = constriction.stream.model.Categorical(perfect=False)
    part = symbols[some]
    other = peer(part, 1, model, probabilities)
    ratio = (other[2] / len(part)) / (result[2] / len(symbols))
    row(f"constriction, 50,000 (decodes {ratio:.0f} times as long)", *other, part)


def peer(symbols: Array, rounds: int, model: Any, *parameters: Any) -> tuple[Any, float, float]:
    def write() -> Array:
        coder = constriction.stream.stack.AnsCoder()
        coder.encode_reverse(symbols, model, *parameters)
        return coder.get_compressed()

    def read(data: Array) -> None:
        coder = constriction.stream.stack.AnsCoder(data)
        coder.decode(model, *(parameters or (len(symbols),)))

    return timed(write, read, rounds)


def plane(symbols: Array, classes: Array, rounds: int) -> None:
    shape, side = Shape(symbols.shape[1], 16, 1, True), Side(first=classes)

    def write() -> bytes:
        coder = PlaneEncoder(shape)
        coder.add(symbols, side)
        return coder.finish()

    coder = PlaneEncoder(shape)
    coder.add(symbols, side)
    ideal = ideal_bits(coder._coder, coder._log)
    row("plane", *timed(write, lambda d: PlaneDecoder(d, shape).take(len(symbols), side), rounds), symbols, ideal)


def entropy(counts: Array) -> float:
    seen = counts[counts > 0]
    return float((seen * np.log2(seen.sum() / seen)).sum())


if __name__ == "__main__":
    main()
