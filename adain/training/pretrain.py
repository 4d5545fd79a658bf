"""Pretraining: a new network first learns to reconstruct pictures, which costs little."""

from __future__ import annotations

import sys

import keras
import numpy as np
from keras import ops
from tqdm import tqdm

from adain.training import devices
from adain.training.data import StyleContentDataset
from adain.training.optimizer import MeasuringAdam
from adain.training.watch import LOOK_EVERY, LossWatch

# From one tap to the one before it, and from relu1_1 to the picture.
_PARTS = (
    ("conv4_1", "conv3_2"),
    ("conv3_1", "conv2_2"),
    ("conv2_1", "conv1_2"),
    ("conv1_1", "conv1_1"),
)

# The networks are shallow and their targets exact: they bear ten times the rate of style training.
_LEARNING_RATE = 1e-3
_WARMUP = 20


@keras.saving.register_keras_serializable("adain")
class BlockwiseTrainer(keras.Model):
    """Fits the decoder's parts side by side: `L = sum_i mean (g_i(f_i(x)) - f_(i-1)(x))^2 / var`.

    Every part gets the encoder's true features, so the last learns from the first step on; the
    whole decoder, learning from its output alone, would first have to find out which way is up.

    Args:
        encoder: Pictures to taps; stays as it is.
        decoder: The mirror whose parts learn.

    Call arguments:
        pictures: `(batch, h, w, 3)` uint8 or float in [0, 255], sRGB.

    Reference:
        Chiu & Gurari, "PhotoWCT2: Compact Autoencoder for Photorealistic Style Transfer Resulting
        from Blockwise Training", WACV 2022.
    """

    def __init__(self, encoder: keras.Model, decoder: keras.Model, **kwargs):
        super().__init__(**kwargs)
        encoder.trainable = False
        self.encoder = encoder
        self.parts = [
            keras.Model(decoder.get_layer(f"{first}_pad").input, decoder.get_layer(last).output)
            for first, last in _PARTS
        ]
        self.built = True

    def call(self, pictures):
        image = ops.cast(pictures, "float32") / 255.0
        taps = self.encoder(image)
        targets = [*taps[-2::-1], image]
        outputs = [part(tap) for part, tap in zip(self.parts, taps[::-1], strict=True)]
        return {"outputs": outputs, "targets": targets}

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return _relative_error(y_pred)


@keras.saving.register_keras_serializable("adain")
class AutoencoderTrainer(keras.Model):
    """Fits a compact model to reconstruct pictures: `L = mean (g(f(x)) - x)^2 / var`.

    Without the loss network a step takes a fraction of the time; and features that can be turned
    back into pictures turn into recoloured ones once AdaIN has changed their statistics.

    Args:
        model: A `StyleTransfer` whose encoder learns too.

    Call arguments:
        pictures: `(batch, h, w, 3)` uint8 or float in [0, 255], sRGB.
    """

    def __init__(self, model: keras.Model, **kwargs):
        super().__init__(**kwargs)
        self.learner = model
        self.built = True

    def call(self, pictures):
        image = ops.cast(pictures, "float32") / 255.0
        encoded = self.learner.encode_graph(image)
        output = self.learner.paint(encoded, *encoded[-2:], ops.zeros((1, 1, 1, 1)))
        return {"outputs": [output], "targets": [image]}

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return _relative_error(y_pred)


def _relative_error(y_pred):
    total = 0.0
    for output, target in zip(y_pred["outputs"], y_pred["targets"], strict=True):
        output, target = ops.cast(output, "float32"), ops.cast(target, "float32")
        # A flat batch has no variance to be measured against.
        mean = devices.mean(ops.mean(target))
        variance = devices.mean(ops.mean(ops.square(target - mean)))
        total = total + ops.mean(ops.square(output - target)) / (variance + 1e-3)
    return devices.share(total)


class _Progress(keras.callbacks.Callback):
    def __init__(self, total: int):
        super().__init__()
        self.total = total
        self.watch = LossWatch()
        self.bar = tqdm(
            total=total, unit="step", file=sys.stderr, desc="pretraining", dynamic_ncols=True,
            disable=not devices.writes(),
        )  # fmt: skip

    def on_train_batch_end(self, batch, logs=None):
        step = batch + 1
        self.bar.update()
        self.watch.add(step, logs["loss"])
        if step % LOOK_EVERY and step != self.total:
            return
        found = self.watch.look()
        if found:
            raise ValueError(
                f"The loss of pretraining became {found[1]} at step {found[0]}. "
                "Go on without it: --pretrain-iter 0"
            )
        self.bar.set_postfix(loss=f"{float(logs['loss']):.3g}")


def pretrain(
    trainer: BlockwiseTrainer | AutoencoderTrainer,
    dataset: StyleContentDataset,
    steps: int,
    *,
    jit_compile: str | bool = "auto",
) -> None:
    """Train on batches that are half photographs, half paintings.

    Args:
        trainer: What learns.
        dataset: Where the pictures come from.
        steps: Iterations.
        jit_compile: As `compile` takes it.

    Raises:
        ValueError: If the loss stops being a number.
    """
    warmup = min(_WARMUP, steps // 2)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, max(steps - warmup, 1), warmup_target=_LEARNING_RATE, warmup_steps=warmup
    )
    trainer.compile(
        optimizer=MeasuringAdam(schedule, beta_2=0.99, global_clipnorm=1.0),
        jit_compile=jit_compile,
    )
    trainer.optimizer.build(trainer.trainable_variables)
    progress = _Progress(steps)
    try:
        trainer.fit(
            devices.feed(lambda: (_mix(x, dataset.places) for x in dataset.batches(0, steps))),
            epochs=1,
            steps_per_epoch=steps,
            shuffle=False,
            verbose=0,
            callbacks=[progress],
        )
    finally:
        progress.bar.close()


def _mix(batch: dict[str, np.ndarray], places: range) -> np.ndarray:
    # Photographs from even places of the whole batch, also where this is a part of it.
    odd = places.start % 2
    halves = (batch["content"][odd::2], batch["style"][1 - odd :: 2])
    side = min(pictures.shape[1] for pictures in halves)
    return np.concatenate([pictures[:, :side, :side] for pictures in halves])
