"""Measure stream codecs on sequences and write the table of docs/streams.md.

    python scripts/stream_table.py NAME=FOLDER:QUALITY … [--codecs stream,queen] [--frames 50] [--gop 30] [--equal 5]
        [--streams FOLDER]

Every frame is decoded and compared with renders of its source frame over held-out views, generated such that frames
from start to end are in the picture. "Alone" is the default codec on one frame from the middle, at the size that it
needs for the same PSNR (log-linear between two qualities). PSNR changes with what a frame shows, so the last frame of a
GOP is also compared with what it is when coded as a key frame: below that it has drifted. --equal: queen on so many
frames, and our codec at the quality at which its mean PSNR is the same. Rows are kept
in docs/streams.csv; a run replaces the rows of the sequences and codecs that it measured.
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
from gscompress.sequence import Sequence, gathered, read_sequence
from gscompress.stream import STREAM_CODECS
from gscompress.stream.file import write_stream
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
    "decode_ms": "decode CPU ms per frame",
    "seek_s": "slowest seek CPU s",
}
_START, _END = "<!-- table by scripts/stream_table.py -->", "<!-- end of table -->"


class Judge:
    """Renders of source frames from views that no encoder saw."""

    def __init__(self, frames: Scene, width: int) -> None:
        self._renderer: Any = RENDERERS.get("cpu")()
        self._cameras: list[Camera] = generate(frames, 4, width, seed=7)

    def psnr(self, source: Scene, decoded: Scene) -> float:
        pairs = [[self._renderer.render(s, c).rgb for s in (source, decoded)] for c in self._cameras]
        return float(np.mean([min(psnr(eight_bit(a), eight_bit(b)), 99.0) for a, b in pairs]))


def measure(
    name: str, sequence: Sequence, codec_name: str, quality: float, gop: int, width: int, keep_in: Path | None = None
) -> dict[str, Any]:
    """One row of the table."""
    codec = from_config(STREAM_CODECS.get(codec_name), {"quality": quality})
    first, frames = sequence.frames[0], gathered(sequence.frames)
    ctx = Context(renderer=RENDERERS.get("cpu")(), cameras=generate(frames, 24, width))
    judge = Judge(frames, width)
    started = time.perf_counter()
    gops = list(encode_gops(sequence, codec, ctx, 30.0, gop))
    encode_s = (time.perf_counter() - started) / len(sequence)
    decoder = GopDecoder(header_for(first, codec, fps=30.0, gop=gop, frames=len(sequence)))
    dbs, times, counts, drift, against, seeks = [], [], [], [], [], []
    for group in gops:
        started, own = time.process_time(), []
        for number, scene in decoder.frames(group.data):
            times.append(time.process_time() - started)
            own.append(judge.psnr(sequence.frames[number], scene))
            counts.append(len(scene))
            started = time.process_time()
        drift.append(own[-1] - own[0])
        dbs += own
        if group.frames > 1:
            last = sequence.frames[group.first_frame + group.frames - 1]
            anew = codec.encoder(ctx)
            anew.key(last)
            against.append(own[-1] - judge.psnr(last, anew.scene()))
        started = time.process_time()
        next(decoder.frames(group.data, group.first_frame + group.frames - 1))
        seeks.append(time.process_time() - started)
    if keep_in is not None:
        keep_in.mkdir(parents=True, exist_ok=True)
        with (keep_in / f"{name}-{codec_name}.gscz".replace(" ", "-")).open("wb") as out:
            write_stream(out, header_for(first, codec, fps=30.0, gop=gop, frames=len(sequence)), gops)
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


def equal_rows(name: str, sequence: Sequence, codec: str, quality: float, gop: int, width: int) -> list[dict[str, Any]]:
    """``codec``, and ours at the quality at which its mean PSNR is that of the other."""
    theirs = measure(name, sequence, codec, quality, gop, width)
    tried: dict[float, dict[str, Any]] = {}
    for _ in range(4):
        tried[quality] = ours = measure(name, sequence, "stream", quality, gop, width)
        off = float(theirs["psnr"]) - float(ours["psnr"])
        if abs(off) < 0.15:
            break
        quality = min(max(quality + 3.0 * off, 0.0), 100.0)  # about 0.3 dB per step of the dial
    best = min(tried.values(), key=lambda row: abs(float(row["psnr"]) - float(theirs["psnr"])))
    return [theirs, best]


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
    parser.add_argument("--equal", type=int, default=0, metavar="FRAMES")
    parser.add_argument("--streams", type=Path, metavar="FOLDER", help="keep the streams there")
    parser.add_argument("--frames", type=int, default=50)
    parser.add_argument("--gop", type=int, default=30)
    parser.add_argument("--width", type=int, default=400)
    given = parser.parse_args()
    for spec in given.sequences:
        name, _, rest = spec.partition("=")
        folder, _, quality = rest.rpartition(":")
        whole = read_sequence(folder)
        count = given.equal or given.frames
        sequence = Sequence(whole.frames[:count], 30.0, whole.names[:count])
        if given.equal:
            called = f"{name}, {count} frames at equal PSNR"
            made = equal_rows(called, sequence, "queen", float(quality), given.gop, given.width)
        else:
            codecs = given.codecs.split(",")
            made = [measure(name, sequence, c, float(quality), given.gop, given.width, given.streams) for c in codecs]
        for row in made:
            print(row)
        keep(made)


def keep(made: list[dict[str, Any]]) -> None:
    """Replace these rows in docs/streams.csv, and the table in docs/streams.md."""
    path = DOCS / "streams.csv"
    rows = list(csv.DictReader(path.open(newline=""))) if path.exists() else []
    names = {(row["sequence"], row["codec"]) for row in made}
    rows = [row for row in rows if (row["sequence"], row["codec"]) not in names] + made
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
