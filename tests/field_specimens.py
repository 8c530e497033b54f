"""Small radiance fields of every kind for tests: random, but with something to see in them."""

from __future__ import annotations

import numpy as np

from gscompress.camera import Camera, look_at
from gscompress.field import Field, Spec
from gscompress.hash_levels import levels_of, scales_of


def layer(rng: np.random.Generator, name: str, out: int, inner: int, scale: float = 1.0) -> dict[str, np.ndarray]:
    weight = rng.normal(0, scale / np.sqrt(inner), (out, inner)).astype(np.float32)
    return {f"{name}.weight": weight, f"{name}.bias": rng.normal(0, 0.1, out).astype(np.float32)}


def mlp_field(width: int = 24, source: str = "nerf-pytorch", seed: int = 0, skip: bool = False) -> Field:
    """Two networks over 3 + 6 * 3 position and 3 + 6 * 1 direction inputs."""
    rng = np.random.default_rng(seed)
    yen = source != "nerf-pytorch"
    tensors: dict[str, np.ndarray] = {}
    for net in ("coarse", "fine"):
        tensors |= layer(rng, f"{net}.trunk.0", width, 21, 2)
        tensors |= layer(rng, f"{net}.trunk.1", width, width, 1.5)
        tensors |= layer(rng, f"{net}.trunk.2", width, width + 21 * skip, 1.5)
        tensors |= layer(rng, f"{net}.density", 1, width, 20)
        tensors |= layer(rng, f"{net}.feature", width, width, 1.5)
        tensors |= layer(rng, f"{net}.colour.0", width // 2, width + 9, 1.5)
        tensors |= layer(rng, f"{net}.rgb", 3, width // 2, 2)
    geometry = {
        "networks": ["coarse", "fine"],
        "frequencies": [3, 1],
        "skips": [2] if skip else [],
        "views": True,
        "first_relu": yen,
        "feature_relu": not yen,
        "skip_first": yen,
        "near": 2.0,
        "far": 6.0,
        "ndc": False,
        "white": True,
        "samples": [12, 12],
        "disparity": False,
    }
    return Field(tensors, Spec("mlp", source, geometry), {"step": 7})


def cameras(count: int = 3, size: int = 16, radius: float = 4.0) -> list[Camera]:
    """Around the origin."""
    out = []
    for k in range(count):
        angle = 2 * np.pi * k / count
        eye = radius * np.array([np.cos(angle), np.sin(angle), 0.4])
        w2c = look_at(eye, np.zeros(3), np.array([0.0, 0.0, 1.0]))
        out.append(Camera(size, size, size * 1.2, size * 1.2, size / 2, size / 2, w2c, f"view-{k}"))
    return out


def hash_field(indexing: str = "nerfstudio", seed: int = 0, appearance: bool = False, occupancy: bool = False) -> Field:
    """A nerfacto-type field, unbounded, with one proposal network, that shows blobs of several colours."""
    rng = np.random.default_rng(seed)
    tcnn = indexing == "tcnn"
    sizes = {"levels": 4, "base": 16, "finest": 48, "log2_size": 11}
    proposal = {"levels": 2, "base": 16, "finest": 24, "log2_size": 10}
    grid = rng.normal(0, 0.3, (levels_of({**sizes, "indexing": indexing}).rows, 2))
    coarse = rng.normal(0, 0.3, (levels_of({**proposal, "indexing": indexing}).rows, 2))
    tensors = {"grid": grid.astype(np.float32)}
    widths = {"base": [8, 16, 16], "head": [31 + 4 * appearance, 16, 16, 3]}
    for stem, w in widths.items():
        for k in range(len(w) - 1):
            tensors |= layer(rng, f"{stem}.{k}", w[k + 1], w[k], 3 if stem == "base" else 1.5)
    if appearance:
        tensors["appearance"] = np.tile(rng.normal(0, 1, 4), (5, 1)).astype(np.float32)
    tensors["proposal.0.grid"] = coarse.astype(np.float32)
    tensors |= layer(rng, "proposal.0.net.0", 16, 4, 2) | layer(rng, "proposal.0.net.1", 1, 16, 2)
    if occupancy:
        tensors["occupancy"] = rng.random((1, 8, 8, 8)) < 0.3
    if tcnn:  # has no biases but where inputs are padded
        padded = {"base.0", "proposal.0.net.0"} | {"head.0"}
        tensors = {n: a for n, a in tensors.items() if not n.endswith(".bias") or n.removesuffix(".bias") in padded}
    geometry = {
        **sizes,
        "scales": scales_of({**sizes, "indexing": indexing}),
        "indexing": indexing,
        "proposals": [{**proposal, "scales": scales_of({**proposal, "indexing": indexing})}],
        "world": np.eye(4)[:3].tolist(),
        "box": [[-1.0] * 3, [1.0] * 3],
        "contraction": "inf",
        "near": 0.05,
        "far": 1000.0,
        "samples": [16, 12],
        "directions": "unit" if tcnn else "halved",
        "density_scale": 1.0,
        "background": "last",
        "white": False,
    }
    return Field(tensors, Spec("hash_grid", "nerfacto", geometry), {"step": 9})


def voxel_field(side: int = 14, bands: int = 4, seed: int = 0) -> Field:
    """A ball of opaque voxels whose colour depends on place and view."""
    rng = np.random.default_rng(seed)
    axis = (np.arange(side) + 0.5) / side * 2 - 1
    x, y, z = np.meshgrid(axis, axis, axis, indexing="ij")
    radius = np.sqrt(x * x + y * y + z * z)
    mask = radius < 0.85
    place = np.stack([x, y, z], -1)[mask]
    sh = np.zeros((len(place), 3, bands))
    sh[:, :, 0] = place + 0.3 * rng.normal(size=place.shape)
    sh[:, :, 1:] = 0.3 * rng.normal(size=(len(place), 3, bands - 1))
    density = np.minimum(600 * (0.8 - radius[mask]), 120) + rng.normal(size=len(place))
    tensors = {"mask": mask, "density": density.astype(np.float32), "sh": sh.reshape(len(place), -1).astype(np.float16)}
    tensors["sh"] = tensors["sh"].astype(np.float32)
    geometry = {"box": [[-1.0] * 3, [1.0] * 3], "bands": bands, "step": 0.5, "white": True}
    return Field(tensors, Spec("voxels", "plenoxels", geometry))


def planes_field(
    side: int = 12, seed: int = 0, shading: str = "MLP_Fea", contraction: str = "none", mask: bool = False
) -> Field:
    """VM planes that show blobs of several colours; sides differ, so that no axis passes for another."""
    rng = np.random.default_rng(seed)
    sizes = (side, side + 1, side + 3)
    tensors: dict[str, np.ndarray] = {}
    for kind, features in (("density", 4), ("colour", 6)):
        for k, (a, b, c) in enumerate(((0, 1, 2), (0, 2, 1), (1, 2, 0))):
            shape = (sizes[b], sizes[a], features)
            tensors[f"{kind}.plane.{k}"] = rng.normal(0, 2 if kind == "density" else 0.7, shape).astype(np.float32)
            tensors[f"{kind}.line.{k}"] = rng.normal(0, 1.5, (sizes[c], features)).astype(np.float32)
    out = {"SH": 27, "RGB": 3}.get(shading, 5)
    tensors["basis.weight"] = layer(rng, "basis", out, 18)["basis.weight"]
    inputs = {"MLP_Fea": out + 3 + 4 * out + 12, "MLP": out + 3 + 12}.get(shading, 0)
    if inputs:
        for k, (width, inner) in enumerate(((16, inputs), (16, 16), (3, 16))):
            tensors |= layer(rng, f"head.{k}", width, inner, 2)
    geometry = {
        "box": [[-1.0, -1.0, -1.1], [1.0, 1.0, 0.9]],
        "near": 2.0,
        "far": 6.0,
        "ndc": False,
        "white": True,
        "step": 0.5,
        "shift": -2.0,
        "scale": 25.0,
        "faint": 1e-4,
        "activation": "softplus",
        "shading": shading,
        "frequencies": [2, 2],
    }
    if mask:
        z, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in (7, 8, 9)), indexing="ij")
        tensors["occupancy"] = x * x + y * y + z * z < 1
        geometry["mask_box"] = geometry["box"]
    if contraction != "none":
        world = np.eye(4)[:3].tolist()
        geometry |= {"box": [[-2.0] * 3, [2.0] * 3], "near": 0.05, "far": 1000.0, "white": False, "scale": 1.0}
        geometry |= {"contraction": contraction, "samples": [16, 12], "world": world, "faint": 1e-5}
    return Field(tensors, Spec("planes", "tensorf" if contraction == "none" else "planes", geometry))


def feature_voxel_field(seed: int = 0, shaded: bool = True, direct: bool = False, dense: bool = True) -> Field:
    """A DVGO-type ball in a grid whose sides differ; with ``dense`` every voxel is there, else those near the ball."""
    rng = np.random.default_rng(seed)
    sides, box = (11, 12, 14), [[-1.0, -1.125, -1.25], [1.0, 1.125, 1.375]]
    axes = [np.linspace(low, high, n) for low, high, n in zip(*box, sides)]
    place = np.stack(np.meshgrid(*axes, indexing="ij"), -1)
    radius = np.sqrt((place**2).sum(-1))
    channels = 7 if shaded else 3
    density = np.clip(60 * (0.75 - radius), -25, 25) + rng.normal(0, 0.5, sides)
    turn = rng.normal(0, 1.5, (3, channels))
    features = np.sin(2 * place @ turn) * 2 + rng.normal(0, 0.1, (*sides, channels))
    mask = np.ones(sides, bool) if dense else radius < 1.05
    tensors = {"mask": mask, "density": density[mask].astype(np.float32), "features": features[mask].astype(np.float32)}
    if shaded:
        inputs = channels - (0 if direct else 3) + 3 + 6 * 2
        for k, (width, inner) in enumerate(((16, inputs), (16, 16), (3, 16))):
            tensors |= layer(rng, f"head.{k}", width, inner, 2)
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, n) for n in (7, 8, 9)), indexing="ij")
    tensors["occupancy"] = x * x + y * y + z * z < 1.6
    span = np.diff(np.array(box), axis=0)[0]
    geometry = {
        "box": box,
        "voxels": int(np.ceil(np.prod(span) * np.max(np.array(sides) / span) ** 3)),
        "base_voxels": 900,
        "shift": float(np.float32(-4.5951)),
        "empty": float(np.float32(-15 - float(np.float32(-4.5951)))),
        "step": 0.5,
        "faint": 1e-4,
        "direct": direct,
        "frequencies": 2,
        "white": True,
    }
    return Field(tensors, Spec("feature_voxels", "dvgo", geometry), {"step": 20000})
