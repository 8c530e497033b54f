"""The motion of a frame as bytes: the whole's as floats, the nodes' in steps of some share of a position step."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gscompress.codecs.geometry import decode_one, encode_one
from gscompress.entropy.plane import Shape, Side
from gscompress.errors import UnreadableError
from gscompress.stream.base import Streams
from gscompress.stream.state import Change, State

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
_HEAD = struct.Struct("<12fB")
_STEP = struct.Struct("<f")
_NODES = Shape(columns=7, first_classes=1, second_classes=1, signed=True)
_ALONE, _AFRESH, _ONWARDS = 0, 1, 2  # no nodes move; they move as said; they move as before, but for what is said
_FURTHEST = 1e12
_LARGEST = 1 << 22


@dataclass(frozen=True, slots=True)
class Quantised:
    """What ``encode`` found: the change as a decoder will have it, its bytes, the nodes' moves for the next frame."""

    change: Change
    streams: dict[str, bytes]


def encode(change: Change, state: State, step: float) -> Quantised:
    """Streams "motion" and "nodes", none when nothing moves. step: of a node's shift, scene units."""
    head = np.concatenate([change.whole, change.fade]).astype(np.float32).astype(np.float64)
    exact = Change(head[:7], np.zeros_like(change.nodes), head[7:])
    step = float(np.float32(step))
    steps = node_steps(step, state)
    symbols = np.floor(np.clip(change.nodes / steps, -_LARGEST, _LARGEST) + 0.5).astype(np.int64)
    if not symbols.any():
        still = not head.any()
        return Quantised(exact, {} if still else {"motion": _HEAD.pack(*head, _ALONE)})
    onwards = symbols - _expected(state, steps)
    mode = _ONWARDS if np.abs(onwards).sum() < np.abs(symbols).sum() else _AFRESH
    streams = {
        "motion": _HEAD.pack(*head, mode),
        "nodes": _STEP.pack(step) + encode_one(_NODES, onwards if mode == _ONWARDS else symbols, Side()),
    }
    return Quantised(Change(exact.whole, symbols * steps, exact.fade), streams)


def decode(streams: Streams, state: State) -> Change:
    """Raises UnreadableError."""
    if "motion" not in streams:
        return Change.none(len(state.graph))
    *values, mode = _HEAD.unpack(streams["motion"])
    head = np.array(values, np.float64)
    nodes = np.zeros((len(state.graph), 7))
    if mode != _ALONE:
        (step,) = _STEP.unpack_from(streams["nodes"])
        if mode > _ONWARDS or not 1e-12 < step < _FURTHEST:
            raise UnreadableError("the motion of a frame is malformed: the frame is corrupt")
        steps = node_steps(step, state)
        symbols = decode_one(_NODES, streams["nodes"][_STEP.size :], len(nodes), Side())
        nodes = (symbols + (_expected(state, steps) if mode == _ONWARDS else 0)) * steps
    # exp and squares of what follows must stay finite, whatever a file says.
    if not np.isfinite(head).all() or np.abs(head).max() > _FURTHEST or abs(head[3]) > 60:
        raise UnreadableError("the motion of a frame is out of range: the frame is corrupt")
    if len(nodes) and (np.abs(nodes[:, 3]).max() > 60 or np.abs(nodes).max() > _FURTHEST):
        raise UnreadableError("the motion of a node is out of range: the frame is corrupt")
    return Change(head[:7], nodes, head[7:])


def node_steps(step: float, state: State) -> F64:
    """(7,) such that an error of any of them shifts Gaussians at the node's reach alike."""
    turn, growth = step / (2 * state.graph.reach), step / state.graph.reach
    return np.array([turn, turn, turn, growth, step, step, step])


def _expected(state: State, steps: F64) -> I64:
    return np.floor(np.clip(state.velocity / steps, -1e6, 1e6) + 0.5).astype(np.int64)
