"""Short optimisation of decoded values against renders or photos."""
