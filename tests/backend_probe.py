"""What one backend computes from given weights; `test_backends.py` runs it, once a backend.

KERAS_BACKEND=jax python backend_probe.py PRESET PICTURES.npz RESULT.npz
"""

import sys

import keras
import numpy as np
from keras import ops

from adain.networks.adain import adaptive_instance_normalization, mean_std
from adain.networks.model import StyleTransfer
from adain.networks.vgg19 import TAPS, get_arrays, jit_compile
from adain.optimization.gatys import Canvas
from adain.training.model import AdaINTrainer
from adain.training.tensorboard import EventWriter


def main(preset, pictures, result):
    data = np.load(pictures)
    found = {"backend": np.array(keras.backend.backend())}
    # === The maths ===
    content, style = data["content_features"], data["style_features"]
    found["mean"], found["std"] = map(ops.convert_to_numpy, mean_std(content))
    found["adain"] = ops.convert_to_numpy(adaptive_instance_normalization(content, style, 0.7))
    # === One picture ===
    model = StyleTransfer.from_preset(preset)
    found["image"] = model.stylize(data["content"], data["style"], alpha=0.8)
    # === One training step ===
    before = get_arrays(model.decoder)
    trainer = AdaINTrainer(model, tv_weight=1e-4)
    # Plain gradient descent: Adam's first step is the gradient's sign alone.
    trainer.compile(optimizer=keras.optimizers.SGD(0.01), jit_compile=jit_compile())
    batch = {key: data[f"{key}_batch"] for key in ("content", "style")}
    batches = ((batch,) for _ in range(1))
    logs = trainer.fit(batches, steps_per_epoch=1, shuffle=False, verbose=0).history
    found |= {f"log/{name}": np.array(values[0]) for name, values in logs.items()}
    for name, array in get_arrays(model.decoder).items():
        found[f"change/{name}"] = array - before[name]
    # === The slow method ===
    unit = [data[key].astype("float32")[:48, :64] / 255 for key in ("content", "style")]
    canvas = Canvas(
        model.encoder, unit[0].shape, content_layers=("relu3_1", "relu4_1"), style_layers=TAPS,
        style_loss="gram", loss_weights=(1.0, 10.0, 0.1),
    )  # fmt: skip
    targets = canvas.encode_targets(*unit)
    # Twice, away from the photo, where the content's gradient is 0: the second must not know
    # of the first.
    for x in (unit[1], 0.5 * (unit[0] + unit[1])):
        losses, found["gradient"] = canvas.evaluate(x.astype("float64").reshape(-1), targets)
    found |= {f"optimize/{name}": np.array(value) for name, value in losses.items()}
    # === What training logs ===
    with EventWriter(f"{result}.logs") as writer:
        writer.scalars(1, {"loss": logs["loss"][0]})
    found["imports_tensorflow"] = np.array("tensorflow" in sys.modules)
    np.savez(result, **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
