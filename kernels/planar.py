"""Float splats on a device, planar, and the two float ops on them: records, and their pull-back."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import triton

from gscompress.kernels import project, sh_eval
from gscompress.kernels.record import SLOTS
from gscompress.scene import Splats


@dataclass(frozen=True, slots=True)
class PlanarSplats:
    """Float32 torch tensors: means (3, N), log_scales (3, N), quats (4, N), logits (N,), sh (3 K, N)."""

    means: torch.Tensor
    log_scales: torch.Tensor
    quats: torch.Tensor
    logits: torch.Tensor
    sh: torch.Tensor

    @classmethod
    def upload(cls, splats: Splats, device: Any) -> PlanarSplats:
        def planes(values: np.ndarray) -> torch.Tensor:
            flat = values.reshape(len(splats), math.prod(values.shape[1:]))
            return torch.from_numpy(np.ascontiguousarray(flat.T)).to(device)

        sh = planes(splats.sh)
        logits = planes(splats.logit_opacities)[0]
        return cls(planes(splats.means), planes(splats.log_scales), planes(splats.quats), logits, sh)

    def __len__(self) -> int:
        return int(self.means.shape[1])


def records_of(splats: PlanarSplats, camera: torch.Tensor, *, mip: bool, bands: int) -> torch.Tensor:
    """Records (N, 10). camera: ``camera_vector`` on the same device. bands: (degree + 1)^2 SH coefficients to use."""
    n = len(splats)
    records = torch.empty((n, SLOTS.value), device=camera.device)
    grid = (triton.cdiv(n, project.BLOCK),)
    project.project_kernel[grid](
        splats.means,
        splats.log_scales,
        splats.quats,
        splats.logits,
        camera,
        records,
        n,
        MIP=mip,
        BLOCK=project.BLOCK,
    )
    sh_eval.sh_kernel[grid](splats.means, splats.sh, camera, records, n, BANDS=bands, BLOCK=project.BLOCK)
    return records


def pull_back(
    splats: PlanarSplats,
    camera: torch.Tensor,
    records: torch.Tensor,
    record_grads: torch.Tensor,
    *,
    mip: bool,
    bands: int,
) -> PlanarSplats:
    """dL/d parameters from dL/d records, in the same layout as the parameters."""
    n = len(splats)
    grid = (triton.cdiv(n, project.BLOCK),)
    grads = PlanarSplats(
        torch.empty_like(splats.means),
        torch.empty_like(splats.log_scales),
        torch.empty_like(splats.quats),
        torch.empty_like(splats.logits),
        torch.zeros_like(splats.sh),
    )
    project.project_backward_kernel[grid](
        splats.means,
        splats.log_scales,
        splats.quats,
        splats.logits,
        camera,
        records,
        record_grads,
        grads.means,
        grads.log_scales,
        grads.quats,
        grads.logits,
        n,
        MIP=mip,
        BLOCK=project.BLOCK,
    )
    sh_eval.sh_backward_kernel[grid](
        splats.means,
        splats.sh,
        camera,
        records,
        record_grads,
        grads.means,
        grads.sh,
        n,
        BANDS=bands,
        BLOCK=project.BLOCK,
    )
    return grads
