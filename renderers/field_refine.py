"""Short training of a field that is about to be rounded: pictures stay, bits go.

The tables are rounded as the codec will round them (gradients pass straight through), and each value is charged
about what it will cost, log2(1 + |value| / step) bits: what no ray needs decays to zero at once, the rest becomes as
small and as round as the pictures allow.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from gscompress.events import EventLog
from gscompress.field import Array, Field
from gscompress.renderers.volume import model_of
from gscompress.renderers.volume_math import Rays

_RATE, _LAST_RATE = 5e-3, 2e-4
_BATCH = 1024
_LOG2 = 0.6931471805599453


def refine(
    field: Field,
    rays: Rays,
    colours: Tensor,
    steps: Mapping[str, Array],
    price: float,
    *,
    seconds: float,
    most: int = 4000,
    seed: int = 0,
    log: EventLog | None = None,
) -> Field:
    """The field, trained further so that rays have these colours (R, 3) and the tables cost less.

    steps: table name → (rows,) step of every row. price: squared error per pixel value that one bit is worth.
    Stops after ``seconds`` or ``most`` steps, whichever is first: only the latter is the same every time.
    """
    model = model_of(field)
    parameters = model.require_gradients()
    grids = {name: torch.from_numpy(np.asarray(step, np.float32))[:, None] for name, step in steps.items()}
    values = {name: model.tensors[name] for name in grids}
    optimiser = torch.optim.Adam(parameters, lr=_RATE, eps=1e-15)
    generator = torch.Generator().manual_seed(seed)
    started = time.perf_counter()
    with (log or EventLog()).phase("tune the field", most) as tick:
        for step in range(most):
            # In fiftieths, so that a run with time to spare depends on no clock.
            done = max(step / most, int(50 * (time.perf_counter() - started) / seconds) / 50)
            if done >= 1:
                break
            for group in optimiser.param_groups:
                group["lr"] = _RATE * (_LAST_RATE / _RATE) ** done
            chosen = torch.randint(len(rays), (_BATCH,), generator=generator)
            for name, value in values.items():
                model.tensors[name] = value + (torch.round(value / grids[name]) * grids[name] - value).detach()
            traced = model.trace(rays.take(chosen), generator)
            shown = traced.rgb + (1 - traced.alpha[:, None]) * float(model.white)
            bits = sum(
                (torch.log1p(value.abs() / grids[name]).sum() for name, value in values.items()), torch.zeros(())
            )
            loss = ((shown - colours[chosen]) ** 2).mean() + price / _LOG2 * bits
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            tick(1)
    model.tensors.update(values)
    return Field(
        {n: t.detach().numpy().astype(field.tensors[n].dtype) for n, t in model.tensors.items()}, field.spec, field.meta
    )
