"""Stylising with given networks, without Keras."""
