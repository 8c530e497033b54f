"""Four mixer weights moved in one vector operation, for the inner loop of plane.py: a sixth of its time.

numba leaves LLVM's vectoriser of straight-line code off, so the four lanes are spelt out here. LLVM turns them into
whatever the machine has; the result is that of the four plain integer lines in ``adapt``'s docstring everywhere.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

_LANE = ir.IntType(32)
_LANES = ir.VectorType(_LANE, 4)


def _vector(builder: Any, values: list[Any]) -> Any:
    vector = ir.Constant(_LANES, ir.Undefined)
    for index, value in enumerate(values):
        vector = builder.insert_element(vector, builder.trunc(value, _LANE), ir.Constant(_LANE, index))
    return vector


@intrinsic
def adapt(typing_context: Any, mixer: Any, place: Any, s0: Any, s1: Any, s2: Any, s3: Any, error: Any) -> Any:
    """mixer[place + k] += (s_k * error + 0x8000) >> 16 for k = 0 to 3, in 32-bit integers. Checks no bounds."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, place, *votes, error = arguments
        data = context.make_array(signature.args[0])(context, builder, value=array).data
        weights = builder.bitcast(builder.gep(data, [place]), _LANES.as_pointer())
        change = builder.mul(_vector(builder, votes), _vector(builder, [error] * 4))
        change = builder.ashr(builder.add(change, ir.Constant(_LANES, [0x8000] * 4)), ir.Constant(_LANES, [16] * 4))
        builder.store(builder.add(builder.load(weights, align=4), change), weights, align=4)
        return context.get_dummy_value()

    return types.void(mixer, types.uint64, *[types.int64] * 5), codegen
