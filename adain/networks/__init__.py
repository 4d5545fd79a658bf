"""The networks, as Keras models."""
