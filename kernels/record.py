"""What the kernels hand each other: one record of ten float32 per Gaussian and view, and the limits they share.

| slot | name | meaning |
| --- | --- | --- |
| 0, 1 | x, y | projected centre in pixels (pixel centres lie at +0.5) |
| 2, 3, 4 | p, r, m | upper Cholesky factor of the inverse 2D covariance, times sqrt(log2(e) / 2) |
| 5 | log2_opacity | log2 of the opacity after the mip compensation; -inf: not drawn |
| 6, 7, 8 | red, green, blue | max(0, 0.5 + SH) |
| 9 | depth | along the view axis, scene units; +inf: not drawn |

With dx, dy the offset of a pixel from the centre, alpha = 2^(log2_opacity - (p dx + r dy)^2 - (m dy)^2): two
operations per pixel, and no cancellation for long thin Gaussians, which the conic a dx^2 + 2 b dx dy + c dy^2
suffers in float32. One record is 40 bytes and touches two 32-byte sectors when it is gathered.

Gradients of a record have the same ten slots, with the blending weight summed over pixels in slot 9.
The limits are those of ``gscompress.renderers.base``, which kernels may not import; a test holds them equal.
"""

from __future__ import annotations

import triton.language as tl

SLOTS = tl.constexpr(10)
TILE = tl.constexpr(16)
BLUR = tl.constexpr(0.3)
ALPHA_MAX = tl.constexpr(0.99)
LOG2_ALPHA_MIN = tl.constexpr(-7.994353436858858)
TRANSMITTANCE_MIN = tl.constexpr(1e-4)
GAIN = tl.constexpr(0.8493218002880191)
"""sqrt(log2(e) / 2): turns exp(-q / 2) into 2^-(gain^2 q)."""
