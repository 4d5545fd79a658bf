"""Numbers and names that several packages share."""

from __future__ import annotations

LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")
"""The encoder's taps, by the names of `networks.vgg19.TAPS`."""

MAX_PIXELS = 178_956_970
"""Larger pictures are refused unless asked for: a file of a few kilobytes may claim any size."""

EPSILON = 1e-5
"""Added to the variance, inside the root, everywhere a deviation is taken."""

NOISE = 1e-4
"""Variances of features below this are rounding errors: the least of photos are 1e-3 in an
encoder, and 1 in a decoder that normalises."""
