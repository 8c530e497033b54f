"""Integers to bytes and back, lossless and bit-exact on every machine."""
