"""Run presets on a scene and its photos, as a user would, and write the tables in docs/codecs.

    python scripts/photo_presets.py SCENE.ply PHOTOS lightgaussian c3dgs     # measure, then write the tables
    python scripts/photo_presets.py SCENE.ply PHOTOS max --fps-only          # only time again what was decoded
    python scripts/photo_presets.py SCENE.ply PHOTOS lightgaussian --label "lightgaussian, all VQ" \\
        --do lightgaussian:vq=1 --checkpoints FOLDER                         # a variant that shares finished stages
    python scripts/photo_presets.py                                          # only write the tables

compress, decompress and eval run as commands of their own. Photo PSNR and SSIM are of held-out views; frames per second
those of the CPU renderer at the photos' size, over the same views, original and decoded in turn. Results are kept in
docs/codecs/photos.csv, one row per scene and label; docs/codecs/photos.md and the marked place in a preset's own page
are written from it.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs" / "codecs"
RESULTS = DOCS / "photos.csv"
START, END = "<!-- photos: written by scripts/photo_presets.py -->", "<!-- end of photos -->"
COLUMNS = [
    "scene",
    "label",
    "preset",
    "options",
    "bytes_before",
    "bytes_after",
    "gaussians_before",
    "gaussians_after",
    "psnr_before",
    "psnr_after",
    "ssim_before",
    "ssim_after",
    "compress_s",
    "decompress_s",
    "fps_before",
    "fps_after",
]
HEADERS = (
    "scene",
    "preset",
    "file, kB",
    "times smaller",
    "Gaussians",
    "photo PSNR, dB",
    "drop, dB",
    "photo SSIM",
    "drop",
    "compress, s",
    "decompress, s",
    "frames/s before",
    "after",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scene", type=Path, nargs="?", help="the trained scene; its file size is the original's")
    parser.add_argument("photos", type=Path, nargs="?", help="the dataset that it was trained from")
    parser.add_argument("presets", nargs="*")
    parser.add_argument("--name", help="of the scene in the tables; default: the dataset folder's")
    parser.add_argument("--label", help="of the row; default: the preset's name")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "photo-presets", help="where files are kept")
    parser.add_argument(
        "--checkpoints", type=Path, help="as for 'gscompress compress'; what it takes is not reported then"
    )
    parser.add_argument("--fps-only", action="store_true", help="keep the other figures")
    wish, options = parser.parse_known_args()  # what is left are options of 'gscompress compress'
    for preset in wish.presets:
        label = wish.label or preset
        folder = wish.out / (wish.name or wish.photos.resolve().name) / label
        row = {"scene": folder.parent.name, "label": label}
        if not wish.fps_only:
            shared = ["--checkpoints", str(wish.checkpoints)] if wish.checkpoints else []
            resumed = bool(shared) and any(wish.checkpoints.glob("*"))
            row |= {"preset": preset, "options": " ".join(options)}
            row |= measure(wish.scene, wish.photos, preset, [*options, *shared], folder)
            row |= {"compress_s": ""} if resumed else {}  # what it took would not be all
        row |= frames_per_second(wish.scene, folder / "decoded.ply", wish.photos)
        keep(row)
    publish(rows())


def measure(scene: Path, photos: Path, preset: str, options: list[str], folder: Path) -> dict[str, Any]:
    """Compress, decompress and evaluate, each in a process of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    packed, back = folder / f"{preset}.gscz", folder / "decoded.ply"
    data = ["--data", str(photos)]
    squeezed = gscompress("compress", scene, packed, "--preset", preset, *data, *options)
    started = time.perf_counter()
    opened = gscompress("decompress", packed, back)
    decompress_s = time.perf_counter() - started
    seen = gscompress("eval", back, "--against", scene, *data, force=False)["photos"]
    return {
        "bytes_before": squeezed["input_bytes"],
        "bytes_after": squeezed["output_bytes"],
        "gaussians_before": squeezed["gaussians"],
        "gaussians_after": opened["gaussians"],
        "psnr_before": round(seen["reference"]["psnr"], 3),
        "psnr_after": round(seen["decoded"]["psnr"], 3),
        "ssim_before": round(seen["reference"]["ssim"], 4),
        "ssim_after": round(seen["decoded"]["ssim"], 4),
        "compress_s": round(squeezed["seconds"], 1),
        "decompress_s": round(decompress_s, 1),
    }


def gscompress(verb: str, *arguments: object, force: bool = True) -> Any:
    """The JSON that a command prints; it replaces what an earlier run left."""
    words = [verb, *map(str, arguments), "--json", *["--force"] * force]
    print("gscompress", *words, file=sys.stderr, flush=True)
    code = "import sys; from gscompress.cli.main import main; sys.exit(main())"
    done = subprocess.run([sys.executable, "-c", code, *words], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"failed: {done.stdout}")
    return json.loads(done.stdout)


def frames_per_second(before: Path, after: Path, photos: Path, rounds: int = 3) -> dict[str, float]:
    """The best of a few rounds over the held-out views for each, in turn."""
    from gscompress import formats
    from gscompress.datasets import load_views
    from gscompress.frame import RDF
    from gscompress.renderers.cpu import CpuRenderer

    cameras = [view.camera for view in load_views(photos) if view.split == "test"]
    scenes, renderer = [formats.read(path).in_frame(RDF) for path in (before, after)], CpuRenderer()
    best = [float("inf")] * 2
    for _ in range(rounds + 1):  # the first warms up
        for which, scene in enumerate(scenes):
            started = time.perf_counter()
            for camera in cameras:
                renderer.render(scene, camera)
            best[which] = min(best[which], (time.perf_counter() - started) / len(cameras))
    return {name: round(1 / seconds, 1) for name, seconds in zip(("fps_before", "fps_after"), best)}


def rows() -> list[dict[str, Any]]:
    if not RESULTS.exists():
        return []
    with RESULTS.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def keep(row: dict[str, Any]) -> None:
    """Write a row over the one of the same scene and label, if there is one."""
    table = {(old["scene"], old["label"]): old for old in rows()}
    key = row["scene"], row["label"]
    table[key] = table.get(key, {}) | row
    DOCS.mkdir(parents=True, exist_ok=True)
    with RESULTS.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(table[name] for name in sorted(table))


def publish(found: list[dict[str, Any]]) -> None:
    """The page of all presets, and each preset's rows in its own page."""
    page = DOCS / "photos.md"
    title = "# Presets that tune against photos\n\nWhat each column means is said in `scripts/photo_presets.py`.\n"
    insert(page, markdown(found), title)
    for preset in sorted({row["preset"] for row in found}):
        own = DOCS / f"{preset}.md"
        if own.exists() and START in own.read_text("utf-8"):
            insert(own, markdown([row for row in found if row["preset"] == preset]))


def insert(page: Path, table: str, otherwise: str = "") -> None:
    """Replace what stands between the markers of a page; a page that is not there begins with ``otherwise``."""
    text = page.read_text("utf-8") if page.exists() else f"{otherwise}\n{START}\n{END}\n"
    before, _, rest = text.partition(START)
    page.write_text(f"{before}{START}\n\n{table}\n{END}{rest.partition(END)[2]}", "utf-8")


def markdown(found: list[dict[str, Any]]) -> str:
    lines = [f"| {' | '.join(HEADERS)} |", "|---|---" + "|--:" * (len(HEADERS) - 2) + "|"]
    return "\n".join(lines + [f"| {' | '.join(cells(row))} |" for row in found]) + "\n"


def cells(row: dict[str, Any]) -> list[str]:
    def number(name: str) -> float:
        return float(row[name] or "nan")

    label = row["label"] + (f" `{row['options']}`" if row["options"] else "")
    return [
        row["scene"],
        label,
        f"{number('bytes_after') / 1000:,.0f}",
        f"{number('bytes_before') / number('bytes_after'):.1f}",
        f"{number('gaussians_before'):,.0f} → {number('gaussians_after'):,.0f}",
        f"{number('psnr_before'):.2f} → {number('psnr_after'):.2f}",
        f"{number('psnr_before') - number('psnr_after'):+.2f}",
        f"{number('ssim_before'):.4f} → {number('ssim_after'):.4f}",
        f"{number('ssim_before') - number('ssim_after'):+.4f}",
        f"{number('compress_s'):.0f}" if row["compress_s"] else "–",
        f"{number('decompress_s'):.1f}",
        f"{number('fps_before'):.1f}",
        f"{number('fps_after'):.1f}",
    ]


if __name__ == "__main__":
    main()
