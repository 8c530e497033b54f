"""Photos and cameras from disk."""
