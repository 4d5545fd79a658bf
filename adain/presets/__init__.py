"""Weights on disk: presets, architectures, weight files."""
