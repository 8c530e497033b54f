"""Rate points of radiance fields: our codec against general compressors on the same weights, judged by renders.

The peers store every float tensor in one file, as float32 or float16, byte planes apart (which is worth 10 to 20 %).
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from gscompress.codecs import field_gscz
from gscompress.codecs.field_codec import FieldContext
from gscompress.codecs.field_codecs import codec_for
from gscompress.container.reader import Reader
from gscompress.entropy import general
from gscompress.events import EventLog
from gscompress.field import Array, Field
from gscompress.field_statistics import Judge
from gscompress.metrics import eight_bit, psnr, ssim

if TYPE_CHECKING:
    from gscompress.datasets.view import View

QUALITIES = (30.0, 40.0, 45.0, 50.0, 60.0)
PEERS = ("zstd-f32", "xz-f32", "zstd-f16", "xz-f16")
_LEVELS = {"zstd": 19, "xz": 9}
_Render = Callable[[Field, Any], Any]


@dataclass(frozen=True)
class Row:
    """One file. psnr (dB, mean and worst view) and ssim against the original's pictures; photo: against photos."""

    codec: str
    point: str
    bytes: int
    ratio: float
    psnr: float
    worst: float
    ssim: float | None
    photo: float | None
    encode_seconds: float
    decode_seconds: float

    def to_json(self) -> dict[str, Any]:
        """Plain values; an infinite PSNR (the pictures are identical) is None."""
        return {k: None if isinstance(v, float) and np.isinf(v) else v for k, v in asdict(self).items()}


def measure(
    field: Field,
    judge: Judge | None,
    cameras: Sequence[Any],
    render: _Render,
    *,
    photos: Sequence[View] = (),
    qualities: Sequence[float] = QUALITIES,
    log: EventLog | None = None,
) -> list[Row]:
    """All rate points and peers. render: picture (H, W, 3) float of a field from a camera. Ratios are against float32
    weights. photos: views whose cameras are ``cameras``."""
    log = log or EventLog()
    before = [eight_bit(render(field, camera)) for camera in cameras]
    rows = []
    for codec, point, pack, unpack in [*_ours(field, judge, qualities, log), *_peers(field)]:
        with log.phase(f"{codec} {point}"):
            started = time.perf_counter()
            data = pack()
            packed = time.perf_counter()
            decoded = unpack(data)
            unpacked = time.perf_counter()
            after = [eight_bit(render(decoded, camera)) for camera in cameras]
        scores = [psnr(a, b) for a, b in zip(before, after)]
        similar = [ssim(a, b) for a, b in zip(before, after)] if min(before[0].shape[:2]) >= 11 else None
        photo = float(np.mean([psnr(v.image, a) for v, a in zip(photos, after)])) if photos else None
        rows.append(
            Row(
                codec,
                point,
                len(data),
                4 * field.weights / max(len(data), 1),
                float(np.mean(scores)),
                float(np.min(scores)),
                None if similar is None else float(np.mean(similar)),
                photo,
                packed - started,
                unpacked - packed,
            )
        )
    return rows


_Cell = tuple[str, str, Callable[[], bytes], Callable[[bytes], Field]]


def _ours(field: Field, judge: Judge | None, qualities: Sequence[float], log: EventLog) -> Iterator[_Cell]:
    for quality in qualities:
        codec = replace(codec_for(field), quality=quality)  # type: ignore[type-var]

        def pack(codec: Any = codec) -> bytes:
            stream = io.BytesIO()
            field_gscz.encode(stream, field, codec, FieldContext(log=log, judge=judge))
            return stream.getvalue()

        yield codec.name, f"q{quality:g}", pack, lambda data: field_gscz.decode(Reader(data), EventLog())


def _peers(field: Field) -> Iterator[_Cell]:
    for name in PEERS:
        method, kind = name.split("-")
        number = np.dtype("<f4" if kind == "f32" else "<f2")

        def pack(method: str = method, number: Any = number) -> bytes:
            return general.pack(_planes(field.tensors, number), method, _LEVELS[method])

        def unpack(data: bytes, number: Any = number) -> Field:
            return replace(field, tensors=_back(field.tensors, general.unpack(data, 1 << 33), number))

        yield name, f"level {_LEVELS[method]}", pack, unpack


def _planes(tensors: Mapping[str, Array], number: Any) -> bytes:
    """All tensors one after the other, of floats first all lowest bytes, then the next ones."""
    parts = []
    for array in tensors.values():
        flat = array.astype(number) if array.dtype == np.float32 else np.packbits(array)
        raw = np.frombuffer(np.ascontiguousarray(flat).tobytes(), np.uint8).reshape(-1, flat.dtype.itemsize)
        parts.append(raw.T.tobytes())
    return b"".join(parts)


def _back(tensors: Mapping[str, Array], data: bytes, number: Any) -> dict[str, Array]:
    out, start = {}, 0
    for name, array in tensors.items():
        kind = number if array.dtype == np.float32 else np.dtype(np.uint8)
        count = array.size if array.dtype == np.float32 else -(-array.size // 8)
        raw = np.frombuffer(data, np.uint8, count * kind.itemsize, start).reshape(kind.itemsize, -1)
        start += count * kind.itemsize
        flat = np.frombuffer(np.ascontiguousarray(raw.T).tobytes(), kind)
        whole = flat.astype(np.float32) if array.dtype == np.float32 else np.unpackbits(flat, count=array.size)
        out[name] = whole.astype(array.dtype).reshape(array.shape)
    return out
