"""How the CPU kernels are compiled.

error_model="numpy" matters most: Python's check for division by zero is a branch, and a branch keeps a loop from being
vectorised. Pixel loops get all of fastmath, since their inputs are finite by construction; per-Gaussian code keeps the
rules for NaN and infinity, since it is what rejects them.
"""

from __future__ import annotations

from typing import Any

import numba as nb

FINITE = {"contract", "reassoc", "arcp", "nsz", "afn"}

# Entry points, called from Python on several threads, kept in numba's cache.
pixel_kernel = nb.njit(nogil=True, cache=True, error_model="numpy", fastmath=True)
splat_kernel = nb.njit(nogil=True, cache=True, error_model="numpy", fastmath=FINITE)
# Parts of them, inlined by the compiler; without Python wrappers they compile faster (numba's stubs lack the names).
_UNWRAPPED: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
pixel_part = nb.njit(error_model="numpy", fastmath=True, **_UNWRAPPED)
splat_part = nb.njit(error_model="numpy", fastmath=FINITE, **_UNWRAPPED)
