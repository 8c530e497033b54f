"""Seconds to encode and to decode, beside other formats' readers, on a scene of at least a million Gaussians.

    python scripts/bench_speed.py SCENE [--gaussians 1000000] [--rounds 5]

Encoding is timed on the scene itself with generated views (reading and rendering included); decoding on copies of it
laid side by side, slightly jittered so that no two are alike, from bytes in memory to a Scene, as long as that takes
with what is imported and compiled already. The best of the rounds counts. Every row is a process of its own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import gscompress
from gscompress import api
from gscompress.cli.views import context
from gscompress.events import EventLog
from gscompress.scene import Scene, Splats

PRESETS = ("default", "fast")
PEERS = {"SPZ": ".spz", "compressed.ply": ".compressed.ply", ".splat (SH 0)": ".splat", "PLY": ".ply"}
GAP = 1.1  # from copy to copy, in extents of what lies within the middle 98 % of the scene


def tiled(scene: Scene, least: int) -> Scene:
    """Jittered copies of a scene on a square grid, at least so many Gaussians."""
    s, rng = scene.splats, np.random.default_rng(0)
    copies = -(-least // len(scene))
    side = int(np.ceil(np.sqrt(copies)))
    low, high = np.quantile(s.means, [0.01, 0.99], axis=0)
    unit = float(np.exp(np.median(s.log_scales)))
    parts = []
    for k in range(copies):
        offset = np.array([k % side, 0, k // side]) * (high - low) * GAP
        jitter = [rng.normal(size=a.shape) for a in (s.means, s.log_scales, s.logit_opacities, s.sh)]
        parts.append(
            Splats(
                (s.means + offset + 0.2 * unit * jitter[0]).astype(np.float32),
                (s.log_scales + 0.05 * jitter[1]).astype(np.float32),
                s.quats,
                (s.logit_opacities + 0.1 * jitter[2]).astype(np.float32),
                (s.sh + 0.003 * jitter[3]).astype(np.float32),
            )
        )
    return Scene(Splats.joined(parts))


def encode(path: Path, preset: str, target: Path, rounds: int) -> None:
    """Best seconds from a file to a file, generated views included."""
    taken = []
    for _ in range(rounds):
        start = time.perf_counter()
        scene = gscompress.read(path)
        ctx = context(api.recipe_for(preset), scene, EventLog())
        target.write_bytes(api.compress(scene, preset, ctx=ctx))
        taken.append(time.perf_counter() - start)
    print(json.dumps({"seconds": min(taken), "count": len(scene), "bytes": target.stat().st_size}))


def decode(path: Path, rounds: int) -> None:
    taken = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        scene = gscompress.read(path)
        taken.append(time.perf_counter() - start)
        count = len(scene)
        del scene
    print(json.dumps({"seconds": min(taken[1:]), "count": count, "bytes": path.stat().st_size}))


def apart(*arguments: object) -> dict[str, float]:
    """What a process of its own prints for ``--encode`` or ``--decode``."""
    command = [sys.executable, __file__, *map(str, arguments)]
    found: dict[str, float] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scene", type=Path)
    parser.add_argument("--gaussians", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--encode", nargs=2, metavar=("PRESET", "FILE"), help=argparse.SUPPRESS)
    parser.add_argument("--decode", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.encode:
        return encode(given.scene, given.encode[0], Path(given.encode[1]), given.rounds)
    if given.decode:
        return decode(given.scene, given.rounds)
    with tempfile.TemporaryDirectory() as folder:
        print(f"{'encode':20s}{'Gaussians':>12s}{'bytes':>12s}{'seconds':>9s}{'per 100k':>10s}")
        for preset in PRESETS:
            found = apart(given.scene, "--encode", preset, Path(folder) / "one.gscz", "--rounds", 3)
            each = found["seconds"] / found["count"] * 1e5
            print(f"{preset:20s}{found['count']:12,d}{found['bytes']:12,d}{found['seconds']:9.2f}{each:10.2f}")
        many = tiled(gscompress.read(given.scene), given.gaussians)
        big = Path(folder) / "many.ply"
        gscompress.write(many, big)
        files = {preset: Path(folder) / f"{preset}.gscz" for preset in PRESETS}
        for preset, path in files.items():
            apart(big, "--encode", preset, path, "--rounds", 1)
        for name, suffix in PEERS.items():
            files[name] = big if suffix == ".ply" else Path(folder) / f"many{suffix}"
            if not files[name].exists():
                gscompress.write(many, files[name])
        rows = {name: apart(path, "--decode", "--rounds", given.rounds) for name, path in files.items()}
        print(f"\n{'decode ' + format(len(many), ',d'):20s}{'in the file':>12s}{'bytes':>12s}{'seconds':>9s}", end="")
        print(f"{'M/s':>10s}{'M/s of the source':>20s}{'seconds of SPZ':>17s}")
        for name, row in rows.items():
            speed, whole = row["count"] / row["seconds"] / 1e6, len(many) / row["seconds"] / 1e6
            share = row["seconds"] / rows["SPZ"]["seconds"]
            print(f"{name:20s}{row['count']:12,d}{row['bytes']:12,d}{row['seconds']:9.2f}", end="")
            print(f"{speed:10.2f}{whole:20.2f}{share:17.2f}")


if __name__ == "__main__":
    main()
