"""Time decoding and seeking of streams on this machine.

    python scripts/stream_speed.py FILE.gscz …

Frames come out as Scenes, ready to be drawn. Wall clock and CPU time, the best of three rounds for each frame; seeking
is from nothing to frames of the longest group, its last one among them.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gscompress.stream.file import StreamFile
from gscompress.stream.frames import GopDecoder

ROUNDS, SEEKS = 3, 6


def stamp() -> npt.NDArray[np.float64]:
    """(2,) wall clock and CPU seconds."""
    return np.array([time.perf_counter(), time.process_time()])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("streams", nargs="+", type=Path, metavar="FILE")
    for path in parser.parse_args().streams:
        stream = StreamFile(path)
        decoder = GopDecoder(stream.header)
        rounds = []
        for _ in range(ROUNDS + 1):
            taken, count = [], 0
            for place in stream.gops:
                before = stamp()
                for _, scene in decoder.frames(stream.data(place)):
                    taken.append(stamp() - before)
                    count, before = len(scene), stamp()
            rounds.append(taken)
        best = np.min(rounds[1:], axis=0)
        keys = [place.first_frame for place in stream.gops]
        residual = np.delete(best, keys, axis=0)
        longest = max(stream.gops, key=lambda place: place.frames)
        seeks = []
        for frame in np.linspace(longest.first_frame, longest.first_frame + longest.frames - 1, SEEKS).astype(int):
            before = stamp()
            next(decoder.frames(stream.data(longest), int(frame)))
            seeks.append(stamp() - before)
        print(f"{path.name}: {stream.frames} frames, {count:,} Gaussians in the last; wall (CPU) milliseconds")
        for title, times in (
            ("residual frame, mean", residual.mean(0)),
            ("residual frame, slowest", residual.max(0)),
            ("key frame, mean", best[keys].mean(0)),
            ("any frame, mean", best.mean(0)),
            ("seek, slowest", np.max(seeks, axis=0)),
            ("seek, mean", np.mean(seeks, axis=0)),
        ):
            print(f"  {title:24} {1e3 * times[0]:6.1f} ({1e3 * times[1]:.1f})")


if __name__ == "__main__":
    main()
