"""Video and live camera: a layer of clips over `StylizePipeline`."""
