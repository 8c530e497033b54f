"""See and compare scenes in a browser."""
