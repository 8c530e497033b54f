"""Scenes for property tests of formats: ``random_scene`` (plausible numbers) and hypothesis strategies on top of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from gscompress.scene import Scene, Splats

MODELS = ("3dgs", "mip", "2dgs")


def random_scene(count: int, degree: int, seed: int, spread: float = 3.0) -> Scene:
    """Numbers of the size that training leaves: opaque and invisible, near and far, quaternions of any length."""
    rng = np.random.default_rng(seed)

    def normal(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape, dtype=np.float32)

    sh = normal(count, (degree + 1) ** 2, 3) * np.float32(0.3)
    sh[:, 0] *= 4
    far = np.where(rng.random((count, 1)) < 0.02, np.float32(50), np.float32(1))
    return Scene(
        Splats(
            normal(count, 3) * np.float32(spread) * far,
            normal(count, 3) * 2 - 4,
            normal(count, 4) * np.exp(normal(count, 1)),
            normal(count) * 6,
            sh,
        )
    )


def any_bits(scene: Scene, seed: int) -> Scene:
    """The same shapes with arbitrary bits: NaNs with payloads, infinities, subnormals, negative zeros."""
    rng = np.random.default_rng(seed)
    splats = scene.splats

    def bits(array: np.ndarray) -> np.ndarray:
        return rng.integers(0, 2**32, array.shape, np.uint32).view(np.float32)

    names = ("means", "log_scales", "quats", "logit_opacities", "sh")
    return replace(scene, splats=replace(splats, **{name: bits(getattr(splats, name)) for name in names}))


def scenes(most: int = 600) -> st.SearchStrategy[Scene]:
    """Plausible scenes of any size from one Gaussian, SH degree, spread and model."""
    return st.builds(
        lambda count, degree, seed, spread, model: replace(random_scene(count, degree, seed, spread), model=model),
        st.integers(1, most),
        st.integers(0, 3),
        st.integers(0, 2**32 - 1),
        st.sampled_from([1e-3, 1.0, 300.0]),
        st.sampled_from(MODELS),
    )


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def assert_same_splats(a: Splats, b: Splats) -> None:
    """Bit for bit, extra columns included."""
    for name in ("means", "log_scales", "quats", "logit_opacities", "sh"):
        assert same_bits(getattr(a, name), getattr(b, name)), name
    assert a.extras.keys() == b.extras.keys()
    for name, column in a.extras.items():
        assert same_bits(column, b.extras[name]), name


def degrees_between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(N,) angles of the rotation from one quaternion to another, of any length and sign, in degrees."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    a, b = (q / np.linalg.norm(q, axis=1, keepdims=True) for q in (a, b))
    chord = np.minimum(np.linalg.norm(a - b, axis=1), np.linalg.norm(a + b, axis=1))
    return np.degrees(4 * np.arcsin(np.clip(chord / 2, 0, 1)))


def opacity(logits: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.tanh(0.5 * logits.astype(np.float64)))
