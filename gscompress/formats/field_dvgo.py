"""Dense voxel grids of DVGO (Sun et al., CVPR 2022): ``coarse_last.tar`` and ``fine_last.tar`` of its bounded scenes.

Canonical names: mask (X, Y, Z) bool, for its voxels in C order density (N,) before activation and features (N, C),
head.0.weight … of the colour network where there is one, occupancy (X', Y', Z') bool of its free-space cache.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from gscompress.errors import UnreadableError
from gscompress.field import Array, Field, Spec
from gscompress.formats.field_base import OURS, Content, FieldLayout

_STATE, _KWARGS = "model_state_dict.", "model_kwargs."
_STEP = 0.5  # voxels between samples: its configurations' value, which is not in the file
_FAINT = 1e-4  # its fast_color_thres where a schedule is stored instead of a number
_INVISIBLE = -15.0  # of a density after its shift: a hundred voxels of it let all but 3e-5 of the light through
_MASK_THRESHOLD = 1e-3
_MOST_FREQUENCIES, _MOST_LAYERS = 24, 16
_OTHERS = {"scene_center": "an unbounded scene (DirectContractedVoxGO)", "act_shift.grid": "a forward-facing scene"}


class DvgoLayout(FieldLayout):
    """Whether the scene is seen against white is not in the file: white is assumed, as for its synthetic scenes."""

    name: ClassVar[str] = "dvgo"
    suffixes: ClassVar[tuple[str, ...]] = (".tar", ".ckpt", ".pth")

    def matches(self, content: Content) -> bool:
        return f"{_STATE}density.grid" in content.arrays and f"{_STATE}k0.grid" in content.arrays

    def read(self, content: Content) -> Field:
        for name, what in _OTHERS.items():
            if _STATE + name in content.arrays:
                raise UnreadableError(f"{content.path}: {what} of DVGO; only its bounded ones are read")
        density = content.need(f"{_STATE}density.grid", 1, 1, None, None, None)[0, 0]
        features = content.need(f"{_STATE}k0.grid", 1, None, *density.shape)[0].transpose(1, 2, 3, 0)
        if 0 in density.shape or features.shape[-1] < 3:
            raise UnreadableError(f"{content.path}: 'k0.grid' has shape {features.shape}, too few features or voxels")
        head = _head(content)
        geometry = _geometry(content, density.shape, bool(head))
        mask = (density != np.float32(geometry["empty"])) | (features != 0).any(-1)
        occupancy = np.ones(density.shape, bool)
        if f"{_STATE}mask_cache.mask" in content.arrays:
            occupancy = content.need(f"{_STATE}mask_cache.mask", None, None, None).astype(bool)
        tensors = {"mask": mask, "density": density[mask], "features": features[mask], **head, "occupancy": occupancy}
        step = content.facts.get("global_step")
        return Field(
            tensors, Spec("feature_voxels", self.name, geometry), {"step": step} if isinstance(step, int) else {}
        )

    def build(self, field: Field) -> dict[str, Any]:
        g, t = field.spec.geometry, field.tensors
        mask, channels = t["mask"], t["features"].shape[1]
        density = np.full(mask.shape, g["empty"], np.float32)
        density[mask] = t["density"]
        features = np.zeros((*mask.shape, channels), np.float32)
        features[mask] = t["features"]
        low, high = (np.asarray(corner, np.float32) for corner in g["box"])
        scale = (np.array(t["occupancy"].shape, np.float32) - 1) / (high - low)
        boxes = {
            f"{part}{side}": c for part in ("", "density.", "k0.") for side, c in (("xyz_min", low), ("xyz_max", high))
        }
        state: dict[str, Array] = boxes | {
            "act_shift": np.array([g["shift"]], np.float32),
            "density.grid": density[None, None],
            "k0.grid": features.transpose(3, 0, 1, 2)[None],
            "mask_cache.mask": t["occupancy"],
            "mask_cache.xyz2ijk_scale": scale,
            "mask_cache.xyz2ijk_shift": -low * scale,
        }
        depth = sum(name.startswith("head.") and name.endswith(".weight") for name in t)
        if depth:
            state["viewfreq"] = np.float32(2.0) ** np.arange(g["frequencies"], dtype=np.float32)
            for place, k in zip(_places(depth), range(depth)):
                state |= {f"rgbnet.{place}.{part}": t[f"head.{k}.{part}"] for part in ("weight", "bias")}
        kwargs = {
            "xyz_min": low,
            "xyz_max": high,
            "num_voxels": g["voxels"],
            "num_voxels_base": g["base_voxels"],
            "alpha_init": 1 / (1 + math.exp(-g["shift"])),
            "voxel_size_ratio": (g["base_voxels"] / g["voxels"]) ** (1 / 3),
            "mask_cache_path": None,
            "mask_cache_thres": _MASK_THRESHOLD,
            "mask_cache_world_size": list(t["occupancy"].shape),
            "fast_color_thres": g["faint"],
            "density_type": "DenseGrid",
            "k0_type": "DenseGrid",
            "density_config": {},
            "k0_config": {},
            "rgbnet_dim": channels if depth else 0,
            "rgbnet_direct": bool(g["direct"]),
            "rgbnet_full_implicit": False,
            "rgbnet_depth": depth or 3,
            "rgbnet_width": len(t["head.0.weight"]) if depth else 128,
            "viewbase_pe": g["frequencies"],
        }
        return {"global_step": field.meta.get("step", 0), "model_kwargs": kwargs, "model_state_dict": state}


def _places(depth: int) -> list[str]:
    """Where its Sequential of Sequentials has the linear layers."""
    return ["0", *(f"{k}.0" for k in range(2, depth)), str(depth)]


def _head(content: Content) -> dict[str, Array]:
    prefix = f"{_STATE}rgbnet."
    weights = [name for name in content.arrays if name.startswith(prefix) and name.endswith(".weight")]
    if len(weights) == 1 or len(weights) > _MOST_LAYERS:
        raise UnreadableError(f"{content.path}: a colour network of {len(weights)} layers")
    out: dict[str, Array] = {}
    width: int | None = None
    for k, place in enumerate(_places(len(weights)) if weights else []):
        weight = content.need(f"{prefix}{place}.weight", 3 if k == len(weights) - 1 else None, width)
        out[f"head.{k}.weight"] = weight
        out[f"head.{k}.bias"] = content.need(f"{prefix}{place}.bias", len(weight))
        width = len(weight)
    return out


def _geometry(content: Content, sides: tuple[int, ...], shaded: bool) -> dict[str, Any]:
    low, high = (content.need(f"{_STATE}{name}", 3).astype(float) for name in ("xyz_min", "xyz_max"))
    if not (np.isfinite([low, high]).all() and (high > low).all()):
        raise UnreadableError(f"{content.path}: 'xyz_min' and 'xyz_max' are no box")
    voxels, base = (_positive(content, name) for name in ("num_voxels", "num_voxels_base"))
    expected = (high - low) / (np.prod(high - low) / voxels) ** (1 / 3)
    if np.abs(expected - sides).max() > 2:
        raise UnreadableError(
            f"{content.path}: a grid of {sides} where 'num_voxels' gives {expected.round(1).tolist()}"
        )
    shift = float(content.need(f"{_STATE}act_shift", 1)[0])
    if not math.isfinite(shift) or abs(shift) > 100:
        raise UnreadableError(f"{content.path}: 'act_shift' is {shift}")
    direct = content.facts.get(f"{_KWARGS}rgbnet_direct", False)
    frequencies = content.facts.get(f"{_KWARGS}viewbase_pe", 4)
    if content.facts.get(f"{_KWARGS}rgbnet_full_implicit") is True:
        raise UnreadableError(f"{content.path}: colour by a network alone ('rgbnet_full_implicit') is not read")
    if not (isinstance(direct, bool) and isinstance(frequencies, int) and 0 <= frequencies <= _MOST_FREQUENCIES):
        raise UnreadableError(f"{content.path}: 'rgbnet_direct' is {direct!r:.20}, 'viewbase_pe' {frequencies!r:.20}")
    inputs = content.arrays[f"{_STATE}k0.grid"].shape[1] - (0 if direct else 3) + 3 + 6 * frequencies
    if shaded:
        content.need(f"{_STATE}rgbnet.0.weight", None, inputs)
    faint = content.facts.get(f"{_KWARGS}fast_color_thres", _FAINT)
    if OURS not in content.facts:
        content.log.info(f"{content.path.name}: a white background is assumed")
    return {
        "box": [low.tolist(), high.tolist()],
        "voxels": voxels,
        "base_voxels": base,
        "shift": shift,
        "empty": float(np.float32(_INVISIBLE - shift)),
        "step": _STEP,
        "faint": float(faint) if isinstance(faint, (int, float)) and 0 <= faint < 1 else _FAINT,
        "direct": direct,
        "frequencies": frequencies,
        "white": True,
    }


def _positive(content: Content, name: str) -> int:
    value = content.facts.get(_KWARGS + name)
    if not isinstance(value, (int, float)) or not 1 <= value < 1 << 40:
        raise UnreadableError(f"{content.path}: the checkpoint's '{name}' is {value!r:.40}")
    return int(value)
