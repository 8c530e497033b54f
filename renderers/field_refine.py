"""Short training of a field that is about to be rounded: pictures stay, bits go.

Tables are rounded as the codec will round them (gradients pass straight through), and every value is charged what its
symbol costs at present (``kernels.rate_adam``). Proposal networks learn on from the field, as in training.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from gscompress.events import EventLog
from gscompress.field import Array, Field
from gscompress.kernels.rate_adam import RateAdam
from gscompress.renderers.field_hash import HashModel, proposal_loss
from gscompress.renderers.volume_math import Rays

_RATE, _NET_RATE, _LAST = 1e-2, 1e-3, 0.03  # learning rates of tables and networks, and what is left of them at the end
_BATCH = 1024


def refine(
    field: Field,
    rays: Rays,
    colours: Tensor,
    steps: Mapping[str, Array],
    price: float,
    *,
    seconds: float,
    most: int = 6000,
    seed: int = 0,
    log: EventLog | None = None,
) -> Field:
    """The field, trained further so that rays have these colours (R, 3) and the tables cost less; these are rounded.

    steps: table name → (levels,) step of every level. price: squared error per pixel value that one bit is worth.
    Stops after ``seconds`` or ``most`` steps, whichever is first: only the latter is the same every time.
    """
    model = HashModel(field)
    tables = {}
    for name, step in steps.items():
        levels = model.levels[name]
        tables[name] = RateAdam(
            np.ascontiguousarray(field.tensors[name]).copy(), levels.starts, levels.sizes, np.asarray(step, np.float32)
        )
        model.tensors[name] = torch.from_numpy(tables[name].rounded)
    parameters = model.require_gradients()
    grids = {name: model.tensors[name] for name in tables}
    networks = [p for p in parameters if all(p is not grid for grid in grids.values())]
    optimiser = torch.optim.Adam(networks, lr=_NET_RATE, eps=1e-15, fused=True)
    generator = torch.Generator().manual_seed(seed)
    started = time.perf_counter()
    with (log or EventLog()).phase("tune the field", most) as tick:
        for update in range(most):
            # In fiftieths, so that a run with time to spare depends on no clock.
            done = max(update / most, int(50 * (time.perf_counter() - started) / seconds) / 50)
            if done >= 1:
                break
            decay = _LAST**done
            chosen = torch.randint(len(rays), (_BATCH,), generator=generator)
            traced, history = model.trace_with_proposals(rays.take(chosen), generator)
            shown = traced.rgb + (1 - traced.alpha[:, None]) * float(model.white)
            loss = ((shown - colours[chosen]) ** 2).mean() + proposal_loss(history)
            loss.backward()
            for group in optimiser.param_groups:
                group["lr"] = _NET_RATE * decay
            optimiser.step()
            optimiser.zero_grad()
            for name, table in tables.items():
                gradient = grids[name].grad
                assert gradient is not None
                table.step(gradient.numpy(), _RATE * decay, price)
                grids[name].grad = None
            tick(1)
    return Field(
        {n: t.detach().numpy().astype(field.tensors[n].dtype) for n, t in model.tensors.items()}, field.spec, field.meta
    )
