"""A training run on one backend, with validation or without; `test_training_backends.py` runs it.

KERAS_BACKEND=jax python training_probe.py PRESET PHOTOS PAINTINGS FOLDER
"""

import sys
from pathlib import Path

import keras
import numpy as np
from probing import hasten

from adain.networks.vgg19 import get_arrays
from adain.presets import npz
from adain.training.callbacks import Checkpoint
from adain.training.config import TrainConfig
from adain.training.loop import train
from adain.training.progress import ProgressLogger


def main(preset, photos, paintings, folder):
    # Tracing takes longer than the steps; test_devices.py and test_trainer.py trace.
    hasten(traced=False)
    validated = []
    validate = ProgressLogger._validate

    def spy(self, step):
        validated.append(validate(self, step))
        return validated[-1]

    ProgressLogger._validate = spy
    found = {"backend": np.array(keras.backend.backend())}
    # Of the same run: once with validation between any two steps, once with none.
    for name, pairs in (("with", 2), ("without", 0)):
        config = TrainConfig(
            (photos,), (paintings,), vgg_path=preset, checkpoint=str(Path(folder) / name),
            batch_size=2, image_size=40, crop_size=32, max_iter=4, pretrain_iter=2,
            learning_rate=1e-3, ema=0.5, val_pairs=pairs, val_iter=1, image_iter=2,
            val_content_path=(photos,) if pairs else (),
            val_style_path=(paintings,) if pairs else (), content_levels=2, gram_weight=0.1,
            coarse_weight=1.0, range_weight=1.0, palette=0.5, identity_weight=1.0,
            stability_weight=1.0, smoothness_weight=1.0, teacher=preset, teacher_weight=1.0,
            style_loss="relative", normalized_content=True, summary_iter=3,
        )  # fmt: skip
        model = train(config)
        arrays, _ = npz.load(Path(folder) / name / "state.npz")
        found |= {f"{name}/{part}": array for part, array in arrays.items()}
        found |= {f"{name}/average/{part}": x for part, x in get_arrays(model.decoder).items()}
    for number, losses in enumerate(validated):
        found |= {f"log/{number}/{part}": np.array(value) for part, value in losses.items()}
    np.savez(Path(folder) / "found.npz", **found)
    # === Weights that are not numbers ===
    config = TrainConfig((photos,), (paintings,), checkpoint=str(Path(folder) / "with"))
    model.decoder.get_layer("conv4_1").bias.assign(np.full(8, np.nan))
    before = (Path(folder) / "with" / "state.npz").read_bytes()
    from adain.training.model import AdaINTrainer

    trainer = AdaINTrainer(model)
    trainer.compile(optimizer=keras.optimizers.Adam())
    trainer.optimizer.build(trainer.trainable_variables)
    try:
        Checkpoint(config, 0, model).save(trainer, 9)
    except ValueError as error:
        print(error)
    assert (Path(folder) / "with" / "state.npz").read_bytes() == before


if __name__ == "__main__":
    main(*sys.argv[1:])
