"""The slow method: the picture itself is optimised."""
