"""The scene that ships with the package, for `gscompress demo` and the tests."""
