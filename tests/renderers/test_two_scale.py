"""Laws of two-scale rendering: traced pixels are exact, codes earn their place, the same picture on every run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from field_specimens import cameras, mlp_field

from gscompress.errors import UsageError

torch = pytest.importorskip("torch")

from gscompress import field_two_scale as two  # noqa: E402
from gscompress.cli.main import run  # noqa: E402
from gscompress.formats.fields import write_field  # noqa: E402
from gscompress.renderers.volume import VolumeRenderer  # noqa: E402

FIELD = mlp_field(width=16)
VIEW = replace(cameras(1, 16)[0], width=15, height=13)


def edges(seed: int, size: int = 48) -> np.ndarray:
    """A picture of straight edges between flat colours."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] / size
    picture = np.zeros((size, size, 3), np.float32)
    for _ in range(6):
        a, b, c = rng.normal(size=3)
        picture[a * x + b * y > c * 0.3] = rng.random(3)
    return picture


def squared_error(decoder: two.Decoder, picture: np.ndarray) -> float:
    step, middle = decoder.factor, (decoder.factor - 1) // 2
    known = picture[middle::step, middle::step]
    grid = np.concatenate([known, np.ones_like(known[..., :2])], -1)
    return float(((decoder.decode(grid)[0][..., :3] - picture) ** 2).mean())


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_pixels_of_the_grid_are_exact(factor: int) -> None:
    whole = VolumeRenderer().render(FIELD, VIEW)
    renderer = two.TwoScaleRenderer(two.fit(FIELD, cameras(2, 16), factor, 8), fine=0)
    coarse = renderer.render(FIELD, VIEW)
    known = (slice((factor - 1) // 2, None, factor),) * 2
    for name in ("rgb", "alpha", "depth"):
        np.testing.assert_allclose(getattr(coarse, name)[known], getattr(whole, name)[known], atol=1e-5)
    assert np.abs(coarse.rgb - whole.rgb).max() > 1e-3
    assert renderer.rays == -(-VIEW.height // factor) * -(-VIEW.width // factor)


@pytest.mark.parametrize(("factor", "fine"), [(1, 0.0), (2, 1.0), (4, 1.0)])
@pytest.mark.parametrize("background", [None, (0.2, 0.4, 0.6)])
def test_nothing_upsampled_is_the_whole_picture(
    factor: int, fine: float, background: tuple[float, float, float] | None
) -> None:
    whole = VolumeRenderer().render(FIELD, VIEW, background=background)
    again = two.TwoScaleRenderer(two.bicubic(factor), fine).render(FIELD, VIEW, background=background)
    for name in ("rgb", "alpha", "depth"):
        np.testing.assert_allclose(getattr(again, name), getattr(whole, name), atol=1e-5)


def test_errors_fall_with_the_rays_that_are_traced() -> None:
    whole = VolumeRenderer().render(FIELD, VIEW).rgb
    decoder = two.fit(FIELD, cameras(2, 16), 2, 8)
    errors = [
        ((two.TwoScaleRenderer(decoder, fine).render(FIELD, VIEW).rgb - whole) ** 2).mean() for fine in (0, 0.2, 0.5, 1)
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[1] < 0.8 * errors[0]


@pytest.mark.parametrize("factor", [2, 4])
def test_a_larger_codebook_fits_better_and_a_fitted_one_beats_bicubic(factor: int) -> None:
    shown = [edges(seed) for seed in range(24)]
    decoders = [two.fit_to(shown, factor, codes) for codes in (1, 8, 64)]
    assert [len(d.codes.codes) for d in decoders] == [1, 8, 64]
    fitted = [np.mean([squared_error(d, p) for p in shown]) for d in [two.bicubic(factor), *decoders]]
    assert fitted == sorted(fitted, reverse=True)
    assert fitted[3] < 0.95 * fitted[1]
    unseen = [edges(seed) for seed in range(100, 106)]
    assert squared(decoders[2], unseen) < squared(two.bicubic(factor), unseen)


def squared(decoder: two.Decoder, pictures: list[np.ndarray]) -> float:
    return float(np.mean([squared_error(decoder, picture) for picture in pictures]))


def test_bicubic_keeps_ramps_and_flat_colours() -> None:
    """Keys' kernel reproduces polynomials of degree 2, away from the border."""
    y, x = np.mgrid[:24, :24].astype(np.float32) / 24
    picture = np.stack([x, y * y, np.full_like(x, 0.3)], -1)
    for factor in (2, 3, 4):
        grid = picture[(factor - 1) // 2 :: factor, (factor - 1) // 2 :: factor]
        decoded, _ = two.bicubic(factor).decode(np.concatenate([grid, np.ones_like(grid[..., :2])], -1))
        inner = (slice(2 * factor, -2 * factor),) * 2
        np.testing.assert_allclose(decoded[..., :3][inner], picture[inner], atol=1e-6)


def test_every_run_gives_the_same_picture() -> None:
    first, second = (two.preset("vq-nerf", FIELD, cameras(6, 16)).render(FIELD, VIEW) for _ in range(2))
    np.testing.assert_array_equal(first.rgb, second.rgb)
    np.testing.assert_array_equal(first.depth, second.depth)


def test_bad_options_are_refused() -> None:
    with pytest.raises(UsageError, match="factors from 1 to 4"):
        two.fit(FIELD, [VIEW], 5)
    with pytest.raises(UsageError, match="codes"):
        two.fit(FIELD, [VIEW], 2, 0)
    with pytest.raises(UsageError, match="one view or more"):
        two.fit(FIELD, [], 2)
    with pytest.raises(UsageError, match="at least 4 pixels"):
        two.fit(FIELD, [replace(VIEW, height=3)], 4)
    for share in (-0.1, 1.5, float("nan")):
        with pytest.raises(UsageError, match="from 0 to 1"):
            two.TwoScaleRenderer(two.bicubic(2), share)
    with pytest.raises(UsageError, match="vq-nerf or vq-nerf-quarter"):
        two.preset("fast", FIELD, [VIEW])


def test_the_verb_draws_with_a_preset(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_field(FIELD, tmp_path / "a.ckpt")
    base = ["render", str(tmp_path / "a.ckpt"), "--cameras", "orbit:2", "--size", "16x16"]
    assert run([*base, "-o", str(tmp_path / "out"), "--preset", "vq-nerf-quarter", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["views"] == 2
    assert told["pixels"] == 512
    assert told["rays"] == 256 + 2 * (16 + 2 * 15)  # the fit; the grid, and round(0.1 * 16) cells traced in full
    assert run([*base, "-o", str(tmp_path / "no"), "--preset", "small"]) == 2
    assert "vq-nerf" in capsys.readouterr().err
    assert not (tmp_path / "no").exists()


def test_splats_are_drawn_without(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.ply").write_bytes(b"ply\n")
    assert run(["render", str(tmp_path / "a.ply"), "-o", str(tmp_path / "out"), "--preset", "vq-nerf"]) == 2
    assert "radiance fields" in capsys.readouterr().err
