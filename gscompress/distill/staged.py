"""The student's training, in the paper's order: what the teacher says at points, then what it looks like.

Points: log densities, clamped on both ends, and colours, weighed by how much is seen of them. Pictures: squared error
of rendered rays, with a little of the former. Which share of the time each stage has is the plan's.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gscompress.camera import Camera
from gscompress.distill.lessons import HIGHEST, LOWEST, Lessons, lessons
from gscompress.distill.students import Student, student_of
from gscompress.errors import UsageError
from gscompress.events import EventLog
from gscompress.field import Field

_DENSITY, _COLOUR = 0.02, 1.0  # weights of the points' losses
_KEPT = 0.1  # of these losses while pictures are learnt
_LAST_RATE = 0.03  # of the first
_WARM = 20  # steps


@dataclass(frozen=True)
class Plan:
    """seconds: of training, at most; steps: at most. points: share of the time for the first stage.

    batch: points per step of the first stage, rays: of the second. side: samples along an axis of planes (by default
    256) and voxels (128).
    """

    seconds: float = 120.0
    steps: int = 20_000
    points: float = 0.25
    batch: int = 8192
    rays: int = 1024
    side: int | None = None
    seed: int = 0


def distill(
    teacher: Field,
    kind: str,
    cameras: Sequence[Camera],
    plan: Plan | None = None,
    *,
    photos: Sequence[npt.NDArray[np.uint8]] = (),
    log: EventLog | None = None,
) -> Field:
    """A field of this kind that looks like the teacher from ``cameras``, or like the photos taken with them.

    Same input, plan and seed, and time to spare: same field. Raises UsageError, UnreadableError.
    """
    plan, log = plan or Plan(), log or EventLog()
    if not cameras:
        raise UsageError("distillation needs cameras to look at the teacher with")
    torch.manual_seed(plan.seed)
    taught = lessons(teacher, cameras, photos=photos, seed=plan.seed, log=log)
    student = student_of(kind, teacher, taught, cameras, plan.side, plan.seed)
    _train(student, taught, plan, log)
    return student.finish()


def _train(student: Student, taught: Lessons, plan: Plan, log: EventLog) -> None:
    optimiser = torch.optim.Adam(student.groups(), eps=1e-15, betas=(0.9, 0.99), fused=True)
    rates = [group["lr"] for group in optimiser.param_groups]
    jitter = torch.Generator().manual_seed(plan.seed)
    started = time.perf_counter()
    errors: list[float] = []
    with log.phase(f"distil to {student.kind}", plan.steps) as tick:
        for step in range(plan.steps):
            # In fiftieths, so that a run with time to spare depends on no clock.
            spent = int(50 * (time.perf_counter() - started) / plan.seconds) / 50
            done = max(step / plan.steps, spent)
            if done >= 1:
                break
            for group, rate in zip(optimiser.param_groups, rates):
                group["lr"] = rate * _LAST_RATE**done * min(1.0, (step + 1) / _WARM)
            first = done < plan.points
            loss = _points(student, taught, plan.batch if first else plan.batch // 8, jitter)
            if not first:
                chosen = torch.randint(len(taught.rays), (plan.rays,), generator=jitter)
                seen = student.seen(taught.rays.take(chosen), taught.colours[chosen], jitter)
                errors.append(float(seen.detach()))
                loss = _KEPT * loss + seen
            optimiser.zero_grad()
            (loss + student.dues(step)).backward()
            optimiser.step()
            shown = f"{-10 * np.log10(np.mean(errors[-50:]) + 1e-12):.2f} dB" if errors else "points"
            tick(1, shown)


def _points(student: Student, taught: Lessons, count: int, jitter: torch.Generator) -> Tensor:
    """Loss at random points of the lessons."""
    flat = torch.randint(taught.weights.numel(), (count,), generator=jitter)
    points, views = taught.points.reshape(-1, 3)[flat], taught.views.reshape(-1, 3)[flat]
    wanted, rgb = taught.log_density.reshape(-1)[flat], taught.rgb.reshape(-1, 3)[flat]
    weights = taught.weights.reshape(-1)[flat]
    loss = torch.zeros(())
    for density, colour in student.answers(points, views):
        loss = loss + _DENSITY * _off(density, wanted, taught.unit)
        if colour is not None:
            loss = loss + _COLOUR * (((colour - rgb) ** 2).mean(-1) * weights).sum() / weights.sum().clamp(min=1e-9)
    return loss


def _off(density: Tensor, wanted: Tensor, unit: float) -> Tensor:
    """Squared difference of log densities; beyond the clamp on the teacher's side nothing is off."""
    log_density = torch.log((density * unit).clamp(min=1e-10))
    beyond = ((wanted <= LOWEST) & (log_density < LOWEST)) | ((wanted >= HIGHEST) & (log_density > HIGHEST))
    return (((log_density - wanted) * ~beyond) ** 2).mean()
