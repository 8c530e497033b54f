"""Plain NeRF MLPs in about three bits per weight: ``matrices`` with steps calibrated by renders, layer by layer.

The second-order model says how to share an error within a layer, but not how much a layer can bear: pixels saturate,
and hidden units switch off. So every layer is rounded alone at a trial step, rendered, and its step scaled so that its
share of the picture's error is its share of the weights; then all are rounded together and scaled once more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from gscompress.codecs import matrices
from gscompress.codecs.field_codec import FieldCodec, FieldContext, Shapes
from gscompress.codecs.matrices import F32, F64, Quantized
from gscompress.container.chunk import Chunk
from gscompress.errors import UnreadableError, UsageError
from gscompress.field import Array, Field, Spec
from gscompress.field_statistics import Judge, Statistics

_BLIND_STEP = 0.05  # without a judge, at quality 50: of a layer's standard deviation
_ROUNDS = 3  # trial steps per layer, and for all of them together
_CLOSE = 1.0  # decibels
_FARTHEST = 24.0  # decibels that one trial corrects at most


@dataclass(frozen=True)
class MlpCodec(FieldCodec):
    """quality: aims at 20 + 0.4 quality dB against the original's own pictures (50: 40 dB)."""

    name: ClassVar[str] = "mlp"
    version: ClassVar[int] = 1
    cites: ClassVar[str] = "Frantar et al. 2022 (GPTQ); Zhang et al. 2024 (COMQ)"
    handles: ClassVar[frozenset[str]] = frozenset({"mlp"})
    quality: float = 57.5

    def encode(self, field: Field, ctx: FieldContext) -> Iterator[Chunk]:
        layers = {name: augmented(field.tensors, name) for name in layer_names(field.tensors)}
        if sum(w.size for w in layers.values()) != sum(a.size for a in field.tensors.values()):
            raise UsageError("the mlp codec stores weights and biases of layers, and this field has other tensors")
        if ctx.judge is None:
            coarseness = _BLIND_STEP * 10 ** ((40.0 - self.aim) / 20)
            chosen = {name: matrices.quantize(w, coarseness) for name, w in layers.items()}
        else:
            chosen = _Calibration(field, layers, ctx, ctx.judge, 10 ** (-self.aim / 10)).run()
        yield Chunk("BASE", 0, matrices.encode(list(chosen.values())))

    def decode(self, spec: Spec, shapes: Shapes, chunks: Iterable[Chunk]) -> dict[str, Array]:
        names = layer_names(shapes)
        sizes = [augmented_shape(shapes, name) for name in names]
        out: dict[str, Array] = {}
        for chunk in chunks:
            for name, matrix in zip(names, matrices.decode(chunk.streams, sizes)):
                out.update(separated(shapes, name, matrix.values()))
        return out


def layer_names(tensors: Mapping[str, Any]) -> list[str]:
    """The layers, in order: names that have a ``.weight``."""
    return [name.removesuffix(".weight") for name in tensors if name.endswith(".weight")]


def augmented(tensors: Mapping[str, Array], layer: str) -> F32:
    """(out, in [+ 1]) weights, with the bias as a last column."""
    weight = np.asarray(tensors[f"{layer}.weight"], np.float32)
    bias = tensors.get(f"{layer}.bias")
    return weight if bias is None else np.concatenate([weight, bias[:, None]], 1)


def augmented_shape(shapes: Shapes, layer: str) -> tuple[int, int]:
    """The same from a table of shapes. Raises UnreadableError."""
    _, shape = shapes[f"{layer}.weight"]
    bias = shapes.get(f"{layer}.bias")
    if len(shape) != 2 or (bias is not None and bias[1] != shape[:1]):
        raise UnreadableError(f"layer '{layer}' has impossible shapes: the file is corrupt")
    return shape[0], shape[1] + (bias is not None)


def separated(shapes: Mapping[str, Any], layer: str, matrix: F32) -> dict[str, Array]:
    """Weights and bias out of an augmented matrix."""
    if f"{layer}.bias" not in shapes:
        return {f"{layer}.weight": matrix}
    return {
        f"{layer}.weight": np.ascontiguousarray(matrix[:, :-1]),
        f"{layer}.bias": np.ascontiguousarray(matrix[:, -1]),
    }


class _Calibration:
    """Steps at which every layer costs its share of ``target``, the mean squared error of pictures."""

    def __init__(self, field: Field, layers: dict[str, F32], ctx: FieldContext, judge: Judge, target: float) -> None:
        self._field, self._layers, self._ctx, self._judge, self._target = field, layers, ctx, judge, target
        self._statistics: Statistics = judge.statistics(field, ctx.log)
        self._total = sum(w.size for w in layers.values())

    def run(self) -> dict[str, Quantized]:
        steps: dict[str, float] = {}
        rows: dict[str, F64 | None] = {}
        with self._ctx.log.phase("calibrate layers", len(self._layers)) as tick:
            for name in self._layers:
                tried = [(self._calibrate(name, choice), choice) for choice in self._row_weights(name)]
                (_, steps[name]), rows[name] = min(tried, key=lambda t: t[0])
                tick(1)
        scale = 1.0
        best: tuple[bool, float, dict[str, Quantized]] | None = None
        for _ in range(_ROUNDS):
            together = {n: self._rounded(n, steps[n] * scale, rows[n]) for n in self._layers}
            off = self._decibels_off(together, self._target)
            rank = (off < 0, abs(off))
            if best is None or rank < best[:2]:
                best = (*rank, together)
            if 0 <= off < _CLOSE / 4:
                break
            scale *= 10 ** ((np.clip(off, -_FARTHEST, _FARTHEST) - _CLOSE / 8) / 20)
        assert best is not None
        return best[2]

    def _row_weights(self, name: str) -> list[F64 | None]:
        rows = self._statistics.rows.get(name)
        return [None] if rows is None or len(rows) < 2 else [None, np.sqrt(np.clip(rows, 0.1, 10))]

    def _calibrate(self, name: str, rows: F64 | None) -> tuple[float, float]:
        """(bits that the layer would take at its share of the target, step)."""
        share = self._target * self._layers[name].size / self._total
        step = (12 * self._target / self._total) ** 0.5
        for _ in range(_ROUNDS):
            rounded = self._rounded(name, step, rows)
            off = self._decibels_off({name: rounded}, share)
            if abs(off) < _CLOSE:
                break
            step *= 10 ** (np.clip(off, -_FARTHEST, _FARTHEST) / 20)
        bits = 8 * sum(map(len, matrices.encode([rounded]).values()))
        return bits - off / 6.02 * self._layers[name].size, step

    def _rounded(self, name: str, step: float, rows: F64 | None) -> Quantized:
        return matrices.quantize(self._layers[name], step, self._statistics.moments.get(name), rows)

    def _decibels_off(self, rounded: Mapping[str, Quantized], target: float) -> float:
        """How much better than the target the pictures are; negative: worse."""
        tensors = dict(self._field.tensors)
        for name, matrix in rounded.items():
            tensors.update(separated(tensors, name, matrix.values()))
        changed = Field(tensors, self._field.spec)
        return float(10 * np.log10(target / max(self._judge.squared_error(self._field, changed), target * 1e-6)))
