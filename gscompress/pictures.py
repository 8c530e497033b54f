"""Pictures for people: error maps, and original, decoded and error side by side with what they show written above."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from PIL.Image import Image

U8 = npt.NDArray[np.uint8]
RAMP = np.array(
    [(8, 8, 14), (46, 18, 84), (115, 28, 109), (190, 55, 84), (240, 110, 45), (252, 180, 50), (252, 252, 190)],
    np.float64,
)
"""Black over purple and orange to pale yellow, lighter all the way, so that it also reads in grey."""
INK, PAPER, MARGIN, LINE = (235, 235, 238), (24, 24, 28), 10, 22


def error_levels(first: U8, second: U8) -> U8:
    """(H, W) the largest difference over the channels, in 8-bit levels."""
    return np.abs(first.astype(np.int16) - second).max(axis=2).astype(np.uint8)


def full_scale(levels: U8) -> int:
    """The error that gets the brightest colour: what only a thousandth of the pixels exceed, 8 levels at least."""
    return max(8, int(np.ceil(np.percentile(levels, 99.9))))


def error_map(levels: U8, top: int) -> U8:
    """(H, W, 3) colours for errors of 0 to ``top`` levels and more."""
    ramp = np.clip(np.arange(256) / top, 0, 1) * (len(RAMP) - 1)
    table = np.stack([np.interp(ramp, np.arange(len(RAMP)), RAMP[:, c]) for c in range(3)], axis=1)
    return table.round().astype(np.uint8)[levels]


def data_uri(pixels: U8, quality: int | None = None) -> str:
    """A picture as text for a page: WebP, lossless unless a quality of 0 to 100 is given."""
    from PIL import Image

    stream = io.BytesIO()
    lossless = quality is None
    Image.fromarray(pixels).save(stream, format="WEBP", lossless=lossless, quality=50 if quality is None else quality)
    return f"data:image/webp;base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"


def side_by_side(before: U8, after: U8, titles: Sequence[str]) -> Image:
    """Three panels: before, after and the error, whose scale is named. ``titles`` head the first two."""
    from PIL import Image, ImageDraw

    levels = error_levels(before, after)
    top = full_scale(levels)
    height, width = before.shape[:2]
    panels = [(before, titles[0]), (after, titles[1]), (error_map(levels, top), f"error: brightest at {top}/255")]
    sheet = Image.new("RGB", (3 * width + 4 * MARGIN, height + LINE + 2 * MARGIN), PAPER)
    draw = ImageDraw.Draw(sheet)
    for number, (pixels, title) in enumerate(panels):
        left = MARGIN + number * (width + MARGIN)
        sheet.paste(Image.fromarray(pixels), (left, LINE + MARGIN))
        draw.text((left, MARGIN - 2), _fitting(title, width), fill=INK, font_size=14)
    return sheet


def _fitting(title: str, width: int) -> str:
    """Shortened to what has room at about 7 pixels a letter."""
    room = max(4, width // 7)
    return title if len(title) <= room else f"{title[: room - 1]}…"
