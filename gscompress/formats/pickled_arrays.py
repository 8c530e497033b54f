"""Plain numpy arrays in torch checkpoints, for ``weights_only`` loading: numbers and bools, never objects.

torch refuses numpy arrays unless their builders are listed. The ones listed here are our own, which build nothing but
empty arrays of plain types (their ``__setstate__`` checks bytes against shape), so that nothing else can be called.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

_PLAIN = ["?", "b", "B", "h", "H", "i", "I", "l", "L", "q", "Q", "e", "f", "d"]


def allowed() -> AbstractContextManager[Any]:
    """While it lasts, torch loads plain numpy arrays too; before torch 2.6 it changes nothing."""
    import torch

    version = tuple(int(part) for part in torch.__version__.split(".")[:2])
    if version < (2, 6):
        return nullcontext()
    kinds = [type(np.dtype(code)) for code in _PLAIN]
    builders: list[Any] = [(_empty, f"numpy.{core}.multiarray._reconstruct") for core in ("core", "_core")]
    builders += [np.ndarray, np.dtype, (_latin, "_codecs.encode"), *dict.fromkeys(kinds)]
    return torch.serialization.safe_globals(builders)


def _empty(kind: Any, shape: Any, code: Any) -> Any:
    """What numpy's own builder is called for: an empty array, filled by ``__setstate__``."""
    if kind is not np.ndarray:
        raise ValueError(f"{kind!r:.60} is no plain array")
    return np.ndarray((0,), np.int8)


def _latin(text: Any, encoding: Any = "latin1") -> bytes:
    if encoding != "latin1" or not isinstance(text, str):
        raise ValueError("array bytes are written as latin1")
    return text.encode("latin1")
