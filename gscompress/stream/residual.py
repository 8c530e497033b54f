"""Residual symbols: what a frame differs by from its prediction, in steps of each Gaussian's own precision.

Four groups (position, shape, colour, higher SH). A row says which groups change, in view of which changed last time
and of its neighbours; only rows that change a group have symbols there. A group that no row changes is not coded.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from gscompress.codecs.geometry import decode_one, encode_one
from gscompress.codecs.steps import CLASSES, turn_octaves
from gscompress.codecs.synthesis import add_band
from gscompress.entropy.plane import Shape, Side
from gscompress.errors import UnreadableError
from gscompress.stream.base import Streams
from gscompress.stream.exact_rows import among, turn_own_axes
from gscompress.stream.state import State

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
GROUPS = ("position", "shape", "colour", "sh")
_MARKS = 1 << len(GROUPS)
_FINEST_TURN, _COARSEST_TURN = 2.0**-16, 1.2
LARGEST = 1 << 22
"""No symbol is larger: what lies farther from its prediction is no change but another thing."""


@dataclass(frozen=True, slots=True)
class Steps:
    """Step of every row and column: position (N, 1), shape (N, 7: ln scales, turns about own axes, -ln opacity),
    colour (N, 1), sh (N, 1). Turns are Gibbs vectors: half the angle."""

    position: F64
    shape: F64
    colour: F64
    sh: F64

    @staticmethod
    def of(state: State) -> Steps:
        return Steps(
            state.grain[:, None],
            _shape_steps(state, slice(None)),
            *(state.shared.steps.of(name, state.classes.colour)[:, None] for name in ("dc", "sh")),
        )


def _shape_steps(state: State, rows: Any) -> F64:
    """(R, 7) for some rows."""
    steps, shape, w = state.shared.steps, state.classes.shape[rows], state.widened[rows]
    scale = steps.of("scale", shape)
    apart = np.abs(np.stack([w[:, 1] - w[:, 2], w[:, 0] - w[:, 2], w[:, 0] - w[:, 1]], 1))
    turn = np.ldexp(np.ldexp(steps.turn, shape.astype(np.int32))[:, None], -turn_octaves(apart).astype(np.int32))
    columns = [*([scale] * 3), *(np.clip(turn, _FINEST_TURN, _COARSEST_TURN) / 2).T, steps.of("opacity", shape)]
    return np.stack(columns, 1)


Symbols = Mapping[str, I64]
"""Group → (N, columns) integers; a group that nothing changes is missing."""


def encode(symbols: Symbols, state: State) -> dict[str, bytes]:
    """Streams "changed" and one per group; none when nothing changes."""
    active = [name for name in GROUPS if name in symbols and symbols[name].any()]
    if not active:
        return {}
    mask = np.stack([symbols[name].any(axis=1) for name in active], 1)
    head = bytes([sum(1 << GROUPS.index(name) for name in active)])
    streams = {"changed": head + encode_one(_mask_shape(len(active)), mask.astype(np.int64), _mask_side(state))}
    for k, name in enumerate(active):
        rows = np.flatnonzero(mask[:, k])
        streams[name] = encode_one(_shape(symbols[name].shape[1]), symbols[name][rows], _side(state, rows))
    return streams


Decoded = tuple[dict[str, tuple[I64, Future[I64]]], npt.NDArray[np.uint16]]
"""What ``decode`` finds: group to changed rows and their symbols, which may be under way; and the marks (N,) of all
rows."""


def decode(streams: Streams, state: State, pool: Executor) -> Decoded:
    """Only rows, neighbours, classes and marks of the state count. Groups are decoded side by side in ``pool``.

    Raises UnreadableError, here or from what is under way.
    """
    rows_of: dict[str, I64] = {}
    marks = np.zeros(len(state), np.uint16)
    if "changed" not in streams:
        return {}, marks
    data = streams["changed"]
    active = [name for k, name in enumerate(GROUPS) if data[0] >> k & 1]
    mask = decode_one(_mask_shape(len(active)), data[1:], len(state), _mask_side(state))
    if len(state) and mask.max() > 1:
        raise UnreadableError("a row's mask of changes is malformed: the frame is corrupt")
    for k, name in enumerate(active):
        rows_of[name] = np.flatnonzero(mask[:, k])
        marks[rows_of[name]] |= 1 << GROUPS.index(name)
    columns = {"position": 3, "shape": 7, "colour": 3, "sh": state.sh.shape[1]}

    def one(name: str) -> I64:
        rows = rows_of[name]
        symbols = decode_one(_shape(columns[name]), streams[name], len(rows), _side(state, rows))
        return np.clip(symbols, -LARGEST, LARGEST)

    return {name: (rows_of[name], pool.submit(one, name)) for name in active}, marks


def corrected(state: State, decoded: Decoded) -> State:
    """The prediction with its residuals added."""
    changes, marks = {name: (rows, symbols.result()) for name, (rows, symbols) in decoded[0].items()}, decoded[1]
    new: dict[str, Any] = {"marks": marks}
    steps, colours = state.shared.steps, state.classes.colour
    if "position" in changes:
        rows, symbols = changes["position"]
        new["means"] = state.means.copy()
        new["means"][rows] += symbols * state.grain[rows, None]
    if "shape" in changes:
        rows, symbols = changes["shape"]
        values = symbols * _shape_steps(state, rows)
        new |= {"widened": state.widened.copy(), "t": state.t.copy(), "quats": state.quats.copy()}
        new["widened"][rows] = np.clip(new["widened"][rows] + values[:, :3], -60.0, 60.0)
        turn_own_axes(new["quats"], rows, values[:, 3:6])
        new["t"][rows] = np.clip(new["t"][rows] + values[:, 6], 0.0, 60.0)
    if "colour" in changes:
        rows, symbols = changes["colour"]
        new["colour"] = state.colour.copy()
        new["colour"][rows] += symbols * steps.of("dc", colours[rows])[:, None]
    if "sh" in changes:
        rows, symbols = changes["sh"]
        new["sh"] = state.sh.copy()
        new["sh"][rows] = _with_sh(state.sh[rows], symbols, steps.of("sh", colours[rows]), state.shared.basis.matrix)
    return replace(state, **new)


def _with_sh(sh: npt.NDArray[np.float32], symbols: I64, steps: F64, basis: F64) -> npt.NDArray[np.float32]:
    """Higher SH (R, n) plus symbols (R, n) times steps (R,) times the basis."""
    flat = np.concatenate([np.zeros((len(sh), 3), np.float32), sh], axis=1)
    lengths = np.full(len(sh), symbols.shape[1], np.int64)
    add_band(
        flat, np.ascontiguousarray(symbols, np.int32), lengths, np.ascontiguousarray(steps), np.ascontiguousarray(basis)
    )
    return flat[:, 3:]


def _mask_shape(columns: int) -> Shape:
    return Shape(columns=columns, first_classes=_MARKS, second_classes=CLASSES, signed=False)


def _mask_side(state: State) -> Side:
    return Side(first=state.marks, second=state.classes.shape.astype(np.uint16), near=state.near)


def _shape(columns: int) -> Shape:
    return Shape(columns=columns, first_classes=CLASSES, second_classes=_MARKS, signed=True)


def _side(state: State, rows: I64) -> Side:
    """Of some rows, whose neighbours are those near rows that are among them."""
    near = among(state.near, rows)
    return Side(first=state.classes.shape[rows].astype(np.uint16), second=state.marks[rows], near=near)
