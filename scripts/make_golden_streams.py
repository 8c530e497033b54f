"""Write the golden streams that tests/golden/streams lacks: one per stream codec and version. Existing ones are never
touched.

    python scripts/make_golden_streams.py

Run it once when a version is frozen, commit what it wrote: every later gscompress must decode it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from gscompress.config import from_config
from gscompress.context import Context
from gscompress.stream import STREAM_CODECS
from gscompress.stream.file import StreamFile, write_stream
from gscompress.stream.frames import GopDecoder, encode_gops, header_for

TESTS = Path(__file__).parent.parent / "tests"
FIELDS = ("means", "log_scales", "quats", "logit_opacities", "sh")


def main() -> None:
    sys.path[:0] = [str(TESTS / "stream"), str(TESTS)]
    from moving_scenes import golden_frames, golden_growing_frames

    for name in STREAM_CODECS:
        cls = STREAM_CODECS.get(name)
        path = TESTS / "golden" / "streams" / f"{name}-v{cls.version}.gscz"
        if path.exists():
            continue
        scenes = golden_frames() if cls.version == 1 else golden_growing_frames()
        codec = from_config(cls, {"quality": 50.0} | ({"refresh": 1} if hasattr(cls, "refresh") else {}))
        header = header_for(scenes[0], codec, fps=30, gop=4, frames=len(scenes))
        with path.open("wb") as out:
            write_stream(out, header, encode_gops(scenes, codec, Context(), gop=4))
        stream = StreamFile(path)
        frames = [s for place in stream.gops for _, s in GopDecoder(stream.header).frames(stream.data(place))]
        values = {f"{field}{k}": getattr(s.splats, field)[::8] for k, s in enumerate(frames) for field in FIELDS}
        np.savez_compressed(path.with_suffix(".npz"), **values)  # type: ignore[arg-type]
        print(f"{path.name}: {path.stat().st_size} bytes, {len(frames)} frames")


if __name__ == "__main__":
    main()
