"""Floats to integers and back: domains, quantizers, sensitivity and allocation."""
