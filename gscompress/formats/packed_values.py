"""Number formats that SPZ and SOG share: opacity in a byte, and quaternions without their largest component."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]

# Opacity 0 and 1 have no finite logit. A byte of 255 stands for everything from 254.5 / 255 to 1 and is read as the
# middle of that, 254.75 / 255; a byte of 0 as 0.25 / 255. Both are the same colour on any 8-bit screen.
OPACITY_SLACK = 0.25 / 255
_EXACT = np.clip(np.arange(256) / 255, OPACITY_SLACK, 1 - OPACITY_SLACK)
LOGITS: F32 = np.log(_EXACT / (1 - _EXACT)).astype(np.float32)


def sigmoid(logits: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """1 / (1 + exp(-x)) in float64, without overflow for any input."""
    return 0.5 * (1 + np.tanh(0.5 * np.asarray(logits, np.float64)))


def opacity_bytes(logits: F32) -> npt.NDArray[np.uint8]:
    """(N,) logits to (N,) bytes, opacity rounded to the nearest of 0/255 … 255/255."""
    return np.rint(255 * sigmoid(logits)).astype(np.uint8)


def drop_largest(quats: npt.NDArray[Any]) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float64]]:
    """(N, 4) quaternions of any length to the index of the largest component and the other three, in order.

    The quaternion is normalised and its sign chosen so that the dropped component is positive; each of the three
    then lies in ±1/sqrt(2). A zero quaternion counts as the one whose first component is 1.
    """
    q = np.asarray(quats, np.float64)
    norm = np.linalg.norm(q, axis=1, keepdims=True)
    q = np.where(norm > 0, q / np.where(norm > 0, norm, 1), 0)
    largest = np.argmax(np.abs(q), axis=1)
    sign = np.where(np.take_along_axis(q, largest[:, None], 1) < 0, -1.0, 1.0)
    return largest, np.take_along_axis(q, _OTHERS[largest], 1) * sign


def restore_largest(largest: npt.NDArray[Any], three: npt.NDArray[Any]) -> F32:
    """The inverse of :func:`drop_largest`: (N,) indices and (N, 3) components to (N, 4) quaternions.

    Components that are too long to belong to a unit quaternion (damaged files) are scaled back to one.
    """
    three = np.asarray(three, np.float32)
    squares = np.einsum("ij,ij->i", three, three)
    length = np.sqrt(np.maximum(squares, 1))
    quats = np.empty((len(three), 4), np.float32)
    np.put_along_axis(quats, _OTHERS[largest], three / length[:, None], 1)
    np.put_along_axis(quats, np.asarray(largest)[:, None], np.sqrt(np.maximum(1 - squares, 0))[:, None], 1)
    return quats


_OTHERS = np.array([[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]])
