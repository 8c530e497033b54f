"""One op per file: the fast version beside its slow twin."""
