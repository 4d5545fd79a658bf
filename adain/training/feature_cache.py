"""Training pictures, encoded once and kept, where the loss network is the bottleneck."""

from __future__ import annotations

from collections.abc import Iterator

import keras
import numpy as np
from keras import ops

from adain.networks.adain import mean_std
from adain.training.data import CONTENT, STYLE, Crop, StyleContentDataset
from adain.training.scales import LossScales


class FeatureCache:
    """Batches of a dataset with fixed crops, each encoded once and kept until they are redrawn.

    Args:
        dataset: A `StyleContentDataset` with `fixed_draws` of the styles, and of the contents if
            they are to be kept too.
        loss_network: Pictures to relu1_1..relu4_1.
        views: The sizes at which pictures are compared.
        keep_styles: Whether batches hold the styles' pictures beside their statistics.
    """

    def __init__(
        self,
        dataset: StyleContentDataset,
        loss_network: keras.Model,
        views: LossScales,
        *,
        keep_styles: bool = False,
    ):
        self.dataset = dataset
        self.keep_styles = keep_styles
        side = dataset.crop_sizes[STYLE]
        picture = keras.layers.Input((side, side, 3))
        statistics = keras.layers.Lambda(
            lambda picture: [
                ops.concatenate(part, -1)
                for part in zip(
                    *(mean_std(tap) for view in views.style(picture) for tap in loss_network(view)),
                    strict=True,
                )
            ]
        )
        self._statistics = keras.Model(picture, statistics(picture))
        side = dataset.crop_sizes[CONTENT]
        picture = keras.layers.Input((side, side, 3))
        features = keras.layers.Lambda(lambda picture: loss_network(views.content(picture))[-1])
        self._features = keras.Model(picture, features(picture))
        self._kept: dict[int, dict[Crop, tuple[np.ndarray, ...]]] = {CONTENT: {}, STYLE: {}}
        self._generation = {CONTENT: 0, STYLE: 0}

    def _encode(self, crop: Crop) -> tuple[np.ndarray, ...]:
        """The picture, and its features or statistics."""
        kept, generation = self._kept[crop.kind], self.dataset.generation(crop)
        if generation != self._generation[crop.kind]:
            # Batches come in order: the crops drawn before are not used again.
            kept.clear()
            self._generation[crop.kind] = generation
        if crop not in kept:
            picture = self.dataset.load(crop)
            # One at a time: in batches the result could depend on which crops come together.
            batch = picture[None].astype("float32") / 255
            if crop.kind == STYLE:
                found = [part.reshape(-1) for part in self._statistics.predict_on_batch(batch)]
            else:
                found = [self._features.predict_on_batch(batch)[0].astype("float16")]
            kept[crop] = (picture, *found)
        return kept[crop]

    def batches(self, start: int, stop: int) -> Iterator[dict[str, np.ndarray]]:
        """Batches `start` to `stop`, as `AdaINTrainer` takes them."""
        fixed = self.dataset.fixed_draws[CONTENT] > 0
        make = (lambda step: None) if fixed else self.dataset.contents
        for step, content in enumerate(self.dataset.batches(start, stop, make=make), start):
            contents, styles = self.dataset.plan(step)
            if fixed:
                content, features = map(np.stack, zip(*map(self._encode, contents), strict=True))
                batch = {"content": content, "content_features": features}
            else:
                batch = {"content": content}
            pictures, means, stds = map(np.stack, zip(*map(self._encode, styles), strict=True))
            if self.keep_styles:
                batch["style"] = pictures
            batch |= {"style_means": means, "style_stds": stds}
            yield self.dataset.complete(batch, step)
