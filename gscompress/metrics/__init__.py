"""Picture metrics: PSNR, SSIM and (with torch and its weights at hand) LPIPS.

Conventions of 3dgs.zip: metrics are taken on 8-bit pictures (``eight_bit`` first), averaged over views, PSNR as the
mean of the per-view values in dB. The float variants compare unrounded pictures clipped to [0, 1].
"""

from __future__ import annotations

from gscompress.metrics.psnr import eight_bit, mse, psnr
from gscompress.metrics.ssim import ssim

__all__ = ["eight_bit", "mse", "psnr", "ssim"]
