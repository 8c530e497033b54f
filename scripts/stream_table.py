"""Measure stream codecs on sequences and write the table of docs/streams.md.

    python scripts/stream_table.py NAME=FOLDER:QUALITY … [--codecs stream,queen] [--frames 50] [--gop 30]

Every frame is decoded and compared with renders of its source frame over held-out generated views. "Alone" is the
default codec on one frame from the middle, at the size that it needs for the same PSNR (log-linear between two
qualities). PSNR changes with what a frame shows, so the last frame of a GOP is also compared with what it is when coded
as a key frame: that difference is drift. Rows are kept in docs/streams.csv; a run replaces the rows of the sequences
and codecs that it measured.
"""

from __future__ import annotations

import argparse
import csv
import time
from pathlib import Path
from typing import Any

import numpy as np

from gscompress.camera import Camera
from gscompress.codecs.default import DefaultCodec
from gscompress.config import from_config
from gscompress.container.chunk import pack_streams
from gscompress.context import Context
from gscompress.metrics import eight_bit, psnr
from gscompress.renderers import RENDERERS
from gscompress.scene import Scene
from gscompress.sequence import Sequence, read_sequence
from gscompress.stream import STREAM_CODECS
from gscompress.stream.frames import GopDecoder, encode_gops, header_for
from gscompress.viewpoints import generate

DOCS = Path(__file__).parent.parent / "docs"
COLUMNS = {
    "sequence": "sequence",
    "codec": "codec",
    "quality": "quality",
    "frames": "frames",
    "gaussians": "Gaussians",
    "kb_frame": "kB per frame",
    "kb_residual": "kB per residual frame",
    "mb_second": "MB/s at 30 fps",
    "psnr": "PSNR dB",
    "psnr_lowest": "lowest frame",
    "drift": "last of GOP against first, dB",
    "against_key": "last of GOP against itself as a key frame, dB",
    "alone_kb": "frame alone, kB",
    "share": "residual / alone",
    "encode_s": "encode s per frame",
    "decode_ms": "decode ms per frame",
    "seek_s": "slowest seek s",
}
_START, _END = "<!-- table by scripts/stream_table.py -->", "<!-- end of table -->"


class Judge:
    """Renders of source frames from views that no encoder saw."""

    def __init__(self, first: Scene, width: int) -> None:
        self._renderer: Any = RENDERERS.get("cpu")()
        self._cameras: list[Camera] = generate(first, 4, width, seed=7)

    def psnr(self, source: Scene, decoded: Scene) -> float:
        pairs = [[self._renderer.render(s, c).rgb for s in (source, decoded)] for c in self._cameras]
        return float(np.mean([min(psnr(eight_bit(a), eight_bit(b)), 99.0) for a, b in pairs]))


def measure(name: str, sequence: Sequence, codec_name: str, quality: float, gop: int, width: int) -> dict[str, Any]:
    """One row of the table."""
    codec = from_config(STREAM_CODECS.get(codec_name), {"quality": quality})
    first = sequence.frames[0]
    ctx = Context(renderer=RENDERERS.get("cpu")(), cameras=generate(first, 24, width))
    judge = Judge(first, width)
    started = time.perf_counter()
    gops = list(encode_gops(sequence, codec, ctx, 30.0, gop))
    encode_s = (time.perf_counter() - started) / len(sequence)
    decoder = GopDecoder(header_for(first, codec, fps=30.0, gop=gop, frames=len(sequence)))
    dbs, times, counts, drift, against, seeks = [], [], [], [], [], []
    for group in gops:
        started, own = time.perf_counter(), []
        for number, scene in decoder.frames(group.data):
            times.append(time.perf_counter() - started)
            own.append(judge.psnr(sequence.frames[number], scene))
            counts.append(len(scene))
            started = time.perf_counter()
        drift.append(own[-1] - own[0])
        dbs += own
        if group.frames > 1:
            last = sequence.frames[group.first_frame + group.frames - 1]
            anew = codec.encoder(ctx)
            anew.key(last)
            against.append(own[-1] - judge.psnr(last, anew.scene()))
        started = time.perf_counter()
        next(decoder.frames(group.data, group.first_frame + group.frames - 1))
        seeks.append(time.perf_counter() - started)
    residuals = [size for group in gops for size in group.frame_sizes[1:]] or [0]
    total = sum(len(group.data) for group in gops)
    alone = alone_bytes(sequence.frames[len(sequence) // 2], float(np.mean(dbs)), quality, ctx, judge)
    return {
        "sequence": name,
        "codec": codec_name,
        "quality": f"{quality:g}",
        "frames": len(sequence),
        "gaussians": int(np.mean(counts)),
        "kb_frame": f"{total / len(sequence) / 1e3:.1f}",
        "kb_residual": f"{np.mean(residuals) / 1e3:.1f}",
        "mb_second": f"{total / len(sequence) * 30 / 1e6:.3f}",
        "psnr": f"{np.mean(dbs):.2f}",
        "psnr_lowest": f"{np.min(dbs):.2f}",
        "drift": f"{min(drift, key=lambda d: -abs(d)):+.2f}",
        "against_key": f"{min(against, default=0.0):+.2f}",
        "alone_kb": f"{alone / 1e3:.1f}",
        "share": f"{100 * np.mean(residuals) / alone:.1f} %",
        "encode_s": f"{encode_s:.2f}",
        "decode_ms": f"{1e3 * np.mean(times):.1f}",
        "seek_s": f"{max(seeks):.2f}",
    }


def alone_bytes(frame: Scene, wanted: float, quality: float, ctx: Context, judge: Judge) -> float:
    """Bytes at which the default codec reaches ``wanted`` dB on one frame."""
    sizes, dbs = [], []
    for tried in (max(quality - 10, 0.0), min(quality + 10, 100.0)):
        codec = DefaultCodec(quality=tried)
        chunks = list(codec.encode(frame, ctx))
        sizes.append(sum(len(pack_streams(chunk.streams)) for chunk in chunks))
        dbs.append(judge.psnr(frame, codec.decode_whole(chunks)))
    slope = (np.log(sizes[1]) - np.log(sizes[0])) / max(dbs[1] - dbs[0], 0.1)
    return float(np.exp(np.log(sizes[0]) + slope * (wanted - dbs[0])))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sequences", nargs="+", metavar="NAME=FOLDER:QUALITY")
    parser.add_argument("--codecs", default="stream")
    parser.add_argument("--frames", type=int, default=50)
    parser.add_argument("--gop", type=int, default=30)
    parser.add_argument("--width", type=int, default=400)
    given = parser.parse_args()
    path = DOCS / "streams.csv"
    rows = list(csv.DictReader(path.open(newline=""))) if path.exists() else []
    for spec in given.sequences:
        name, _, rest = spec.partition("=")
        folder, _, quality = rest.rpartition(":")
        whole = read_sequence(folder)
        sequence = Sequence(whole.frames[: given.frames], 30.0, whole.names[: given.frames])
        for codec in given.codecs.split(","):
            row = measure(name, sequence, codec, float(quality), given.gop, given.width)
            print(row)
            rows = [r for r in rows if (r["sequence"], r["codec"]) != (name, codec)] + [row]
    with path.open("w", newline="") as out:
        writer = csv.DictWriter(out, list(COLUMNS))
        writer.writeheader()
        writer.writerows(rows)
    page = DOCS / "streams.md"
    if page.exists():
        text = page.read_text("utf-8")
        head, tail = text.split(_START)[0], text.split(_END)[-1]
        page.write_text(f"{head}{_START}\n{table(rows)}{_END}{tail}", "utf-8")


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown."""
    lines = [list(COLUMNS.values()), ["---", "---"] + ["--:"] * (len(COLUMNS) - 2)]
    lines += [[str(row[key]) for key in COLUMNS] for row in rows]
    return "".join("| " + " | ".join(cells) + " |\n" for cells in lines)


if __name__ == "__main__":
    main()
