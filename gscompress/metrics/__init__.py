"""Picture quality: PSNR, SSIM, LPIPS."""
