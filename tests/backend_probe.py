"""What one backend computes from given weights; `test_backends.py` runs it, once a backend.

KERAS_BACKEND=jax python backend_probe.py PRESET PICTURES.npz RESULT.npz
"""

import sys

import keras
import numpy as np
from keras import ops

from adain.events import EventWriter
from adain.functional import adaptive_instance_normalization, mean_std
from adain.model import StyleTransfer
from adain.networks import get_arrays, jit_compile
from adain.trainer import AdaINTrainer


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
    # === What training logs ===
    with EventWriter(f"{result}.logs") as writer:
        writer.scalars(1, {"loss": logs["loss"][0]})
    found["imports_tensorflow"] = np.array("tensorflow" in sys.modules)
    np.savez(result, **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
