"""Presets in formats of TensorFlow, from the Keras models of `networks.portable`."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from adain.extras import choose_backend
from adain.options import UsageError


def write_saved_model(
    preset: str | Path, graphs: Sequence[str], weights: str
) -> Iterator[tuple[str, bytes]]:
    """The files of a SavedModel for each graph: a folder of that name, with the endpoint `serve`.

    Args:
        preset: A name from `available_presets()`, a preset's folder, or the folder a training run
            writes to.
        graphs: Names of `WHOLE_GRAPHS`.
        weights: `"float32"`.

    Raises:
        PresetError: If there is no such preset, or its files are damaged.
        UsageError: If Keras runs on another backend than TensorFlow.
    """
    for name, folder in _saved_models(preset, graphs):
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            yield f"{name}/{path.relative_to(folder).as_posix()}", path.read_bytes()


def write_litert(
    preset: str | Path, graphs: Sequence[str], weights: str
) -> Iterator[tuple[str, bytes]]:
    """A `.tflite` for each graph, with no other operations than LiteRT's own.

    Arguments and errors are `write_saved_model`'s, `weights` float32 or float16.
    """
    for name, folder in _saved_models(preset, graphs):
        from tensorflow import float16, lite

        converter = lite.TFLiteConverter.from_saved_model(str(folder))
        # As constants: kernels that are computed from weights must be known.
        converter.experimental_enable_resource_variables = False
        if weights == "float16":
            converter.optimizations = [lite.Optimize.DEFAULT]
            converter.target_spec.supported_types = [float16]
        yield f"{name}.tflite", converter.convert()


def _saved_models(preset: str | Path, graphs: Sequence[str]) -> Iterator[tuple[str, Path]]:
    """The name of each graph, and a folder with its SavedModel, which is there for the moment."""
    if choose_backend() != "tensorflow":
        raise UsageError(
            "`KERAS_BACKEND` must be tensorflow for this format; others write onnx, openvino and "
            f"mnn. Received: KERAS_BACKEND={choose_backend()}"
        )
    from keras.export import ExportArchive

    from adain.networks.model import StyleTransfer
    from adain.networks.portable import PORTABLE

    # It tells of names that it changes, which only it uses.
    logging.getLogger("absl").setLevel(logging.WARNING)
    model = StyleTransfer.from_preset(preset)
    for name in graphs:
        whole = PORTABLE[name](model)
        # Not `model.export`, which stores all variables beside those that the graph uses.
        archive = ExportArchive()
        archive.add_endpoint("serve", whole.__call__, whole.signature)
        with tempfile.TemporaryDirectory() as scratch:
            archive.write_out(scratch, verbose=False)
            yield name, Path(scratch)
