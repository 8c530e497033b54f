"""Matrix products on the thread that asks for them.

OpenBLAS wakes a thread per core for every product, and these go on spinning for a while afterwards: they take the cores
from our own kernels. An update in tuning plush takes some 100 ms with them and 56 without, on two cores.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any


def one_thread() -> AbstractContextManager[Any]:
    """While it is entered, numpy's matrix products use no threads of their own; afterwards as many as before."""
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1, "blas")
