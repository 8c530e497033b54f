"""Which way of rounding colours earns its place in pictures: bits at equal PSNR on views that the encoder did not see.

    python scripts/measure_rounding.py SCENE [--cameras FILE]

Only DC and SH are quantized. Prints the Markdown table of docs/quantization.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from quantizer_bench import LEVELS, Bench, arguments, by_cost, coded, prepare

from gscompress.metrics import psnr
from gscompress.quant.diffusion import diffuse
from gscompress.quant.linear import LUMA_CHROMA, fit_klt
from gscompress.quant.rounding import compensate, settle
from gscompress.quant.scalar import Uniform
from gscompress.renderers.cpu import CpuRenderer


def pictures_table(bench: Bench) -> None:
    """Colour only: bits and PSNR on held-out views of ways to round DC and SH."""
    renderer, splats, h = CpuRenderer(), bench.scene.splats, bench.h["sh"]
    truth = {id(c): renderer.render(bench.scene, c).rgb for c in bench.views + bench.held_out}
    higher = splats.sh[:, 1:].reshape(len(splats), -1)
    fitted = fit_klt(higher, h, 1)
    whole = np.eye(fitted.matrix.shape[0] + 3)
    whole[:3, :3], whole[3:, 3:] = LUMA_CHROMA, fitted.matrix
    x = splats.sh.reshape(len(splats), -1) @ np.linalg.inv(whole)
    middle = np.concatenate([np.median(x[:, :3], 0), np.zeros(x.shape[1] - 3)])

    def shown(values: Any, s: Any) -> Any:
        sh = ((values * s[:, None] + middle) @ whole).reshape(splats.sh.shape).astype(np.float32)
        return replace(bench.scene, splats=replace(splats, sh=sh))

    def picture(scene: Any) -> float:
        return float(np.mean([psnr(renderer.render(scene, c).rgb, truth[id(c)]) for c in bench.held_out]))

    def pull(s: Any) -> Callable[[Any, int], Any]:
        def gradient(targets: Any, done: int) -> Any:
            scene, total = shown(np.rint(targets), s), np.zeros(splats.sh.shape)
            chosen = [bench.views[(7 * done + i) % len(bench.views)] for i in range(7)]
            for camera in chosen:
                total += renderer.render_with_grad(scene, camera, lambda im, c=camera: im.rgb - truth[id(c)])[1].sh
            scaled = total * len(bench.views) / len(chosen) / (sum(c.width * c.height * 3 for c in bench.views))
            return scaled.reshape(len(s), -1) @ whole.T * s[:, None]

        return gradient

    ways: dict[str, Callable[[Any, Any, Any], Any]] = {
        "rounding": lambda z, s, k: np.rint(z),
        "dead zone 0.4": lambda z, s, k: Uniform(1.0, 0.4).encode(z),
        "RDOQ, price 0.5": lambda z, s, k: by_cost(z, k, 0.5),
        "RDOQ, price 1": lambda z, s, k: by_cost(z, k, 1.0),
        "diffusion 0.2": lambda z, s, k: diffuse(np.ascontiguousarray(z), 0.2),
        "compensated in each Gaussian": lambda z, s, k: compensate(z, np.ones(1), joint(bench.fisher, whole)),
        "settled, 3 rounds of 7 views": lambda z, s, k: np.rint(
            settle(z.copy(), pull(s), 16 * (h * s * s)[:, None], 3, 0.1, 0.1)
        ),
        "settled, 6 rounds of 7 views": lambda z, s, k: np.rint(
            settle(z.copy(), pull(s), 16 * (h * s * s)[:, None], 6, 0.1, 0.1)
        ),
    }
    curves: dict[str, Any] = {}
    for label, way in ways.items():
        points = []
        for level in LEVELS:
            s, k = bench.steps(h, level)
            z = (x - middle) / s[:, None]
            q = np.asarray(way(z, s, k))
            points.append((coded(q, bench, k, s), picture(shown(q, s))))
        curves[label] = np.array(points)
        base = curves["rounding"]
        low, high = max(base[0, 1], points[0][1]), min(base[-1, 1], points[-1][1])
        at = np.linspace(low, high, 20)
        ours, theirs = (np.interp(at, c[:, 1], np.log(c[:, 0])) for c in (curves[label], base))
        cells = " | ".join(f"{b:.1f} bits, {p:.2f} dB" for b, p in points)
        print(f"| {label} | {cells} | {100 * (np.exp((ours - theirs).mean()) - 1):+.1f} % |", flush=True)


def joint(fisher: Any, whole: Any) -> Any:
    """The curvature of (K, 3) coefficients in the coded basis: (N, 3 K, 3 K) from one (N, K, K) for every channel."""
    n, bands = fisher.shape[:2]
    rows = whole.reshape(len(whole), bands, 3)
    out = np.empty((n, len(whole), len(whole)))
    for start in range(0, n, 4096):
        part = fisher[start : start + 4096]
        out[start : start + 4096] = np.einsum("nab,ibc,jac->nij", part, rows, rows, optimize=True)
    return out


def main() -> None:
    given = arguments(__doc__)
    bench = prepare(given.scene, given.cameras)
    print(f"{given.scene.name}: {len(bench.scene):,} Gaussians\n")
    print("| colours | " + " | ".join(f"{d:.0f} dB" for d in LEVELS) + " | bits at equal PSNR |")
    print("|---|--:|--:|--:|--:|")
    pictures_table(bench)


if __name__ == "__main__":
    main()
