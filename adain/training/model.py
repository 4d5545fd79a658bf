"""The model that learns: networks, losses and their weights."""

# What Keras' own annotations say of its operations is wider than what they return.
# pyright: reportOptionalSubscript=false, reportOptionalOperand=false, reportOptionalIterable=false
# pyright: reportOptionalMemberAccess=false, reportOperatorIssue=false

from __future__ import annotations

import keras
import numpy as np
from keras import ops

from adain.networks import losses
from adain.networks.adain import mean_std, transfer_statistics
from adain.networks.model import StyleTransfer
from adain.networks.style_losses import STYLE_LOSSES
from adain.presets.architecture import ARCHITECTURES
from adain.training import devices
from adain.training.optimizer import state_of
from adain.training.palette import recolor
from adain.training.scales import LossScales
from adain.training.teacher import paint_target
from adain.training.watch import read


@keras.saving.register_keras_serializable("adain")
class AdaINTrainer(keras.Model):
    """Fits a model: `L = content_weight L_c + style_weight L_s + tv_weight L_tv + ...`.

    Of a full-width model only the decoder learns, and its encoder is the loss network: a step
    encodes content, style and output once at each size. A compact model learns as a whole.

    Args:
        model: The `StyleTransfer` that learns.
        loss_network: Pictures to relu1_1..relu4_1; by default the model's encoder.
        content_weight, style_weight, tv_weight, identity_weight: See `networks.losses` for the
            reductions.
        coarse_weight: Adds `coarse_weight * L_s` of the same pictures at half size to `L_s`, and
            at a quarter and so on for `coarse_levels` of more than 1.
        coarse_levels: How many times pictures are halved for that.
        detail_size: Look at the output at full size only in a square of this side in its middle,
            and compare the content at half size; 0: at full size, all of it.
        style_loss: Which of `STYLE_LOSSES`.
        normalized_content: Use `losses.normalized_content_loss` in place of the paper's.
        content_levels: Compare contents in this many of the deepest taps, each counting half as
            much as the one below it.
        gram_weight: Adds `gram_weight * losses.relative_gram_loss` of the two deepest taps, at
            full and, where there is one, at half size.
        range_weight: Adds `range_weight * losses.range_loss`.
        stability_weight: Adds `stability_weight * losses.stability_loss` of every third photo.
        smoothness_weight: Adds `smoothness_weight * losses.smoothness_loss`.
        teacher: Weights whose pictures of the same pairs are another target; they do not learn.
        teacher_weight: Adds `teacher_weight * losses.teacher_loss`.
        palette: By what share the output's colours are moved to the style's before content and
            style are compared, as `stylize` may do it afterwards.
        alpha: Strength of AdaIN in training, in [0, 1].

    Call arguments:
        inputs: `{"content", "style"}`: `(batch, h, w, 3)` uint8 or float in [0, 255], sRGB; or,
            instead of `"style"`, encoded ahead, `"style_means"` and `"style_stds"`:
            `(batch, sum of channels over all taps)` float32, followed by those of the other sizes
            at which styles are compared. A compact model needs `"style"` as well, and so does a
            palette. With `"content_features"`, relu4_1 of the content, the loss network does not
            look at the content. The stability loss needs `"second"` and `"offset"`, as `see_again`
            returns them, and a teacher needs `"style"`.

    Raises:
        ValueError: If there is a teacher without weight, or the other way round. When called: if
            inputs are not all that the losses need.

    Example:
        >>> trainer = AdaINTrainer(model)
        >>> trainer.compile(optimizer=keras.optimizers.Adam(1e-4))
        >>> batches = StyleContentDataset("coco", "wikiart").batches()
        >>> trainer.fit(((batch,) for batch in batches), steps_per_epoch=1000)

    Reference:
        Huang & Belongie, ICCV 2017, equations 11 to 13.
    """

    def __init__(
        self,
        model: StyleTransfer,
        loss_network: keras.Model | None = None,
        *,
        content_weight: float = 1.0,
        style_weight: float = 1e-2,
        tv_weight: float = 0.0,
        coarse_weight: float = 0.0,
        coarse_levels: int = 1,
        detail_size: int = 0,
        identity_weight: float = 0.0,
        style_loss: str = "sum",
        normalized_content: bool = False,
        content_levels: int = 1,
        gram_weight: float = 0.0,
        range_weight: float = 0.0,
        stability_weight: float = 0.0,
        smoothness_weight: float = 0.0,
        teacher: StyleTransfer | None = None,
        teacher_weight: float = 0.0,
        palette: float = 0.0,
        alpha: float = 1.0,
        **kwargs,
    ):
        if bool(teacher_weight) != (teacher is not None):
            raise ValueError("`teacher` and `teacher_weight` must be given together.")
        super().__init__(**kwargs)
        self.encoder = loss_network or model.encoder
        self.encoder.trainable = False
        self.decoder = model.decoder
        self.stylizer = model
        self.levels = ARCHITECTURES[model.architecture].levels
        self.shares_encoder = self.encoder is model.encoder
        self.views = LossScales(coarse_levels if coarse_weight else 0, detail_size)
        self.content_weight = content_weight
        self.style_weight = style_weight
        self.tv_weight = tv_weight
        self.coarse_weight = coarse_weight
        self.identity_weight = identity_weight
        self.normalized_content = normalized_content
        self.content_levels = content_levels
        self.gram_weight = gram_weight
        self.range_weight = range_weight
        self.stability_weight = stability_weight
        self.smoothness_weight = smoothness_weight
        self.teacher = teacher
        self.teacher_weight = teacher_weight
        self.palette = palette
        self.style_loss = STYLE_LOSSES[style_loss]
        self.alpha = alpha
        self.first_weights: list[np.ndarray] = []
        self.first_share = 0.0
        weights = {
            "content": 1.0, "style": 1.0, "tv": 1.0, "coarse": coarse_weight,
            "identity": identity_weight, "gram": gram_weight, "range": range_weight,
            "smoothness": smoothness_weight, "stability": stability_weight,
            "teacher": teacher_weight,
        }  # fmt: skip
        # An attribute, not an override of `metrics`: that would drop `loss` from the logs.
        self.trackers = {
            name: keras.metrics.Mean(name=f"{name}_loss")
            for name, weight in weights.items()
            if weight
        }
        self.built = True

    @property
    def parts(self) -> dict[str, list]:
        """All variables that change in training, by what they belong to."""
        parts = {"decoder": self.decoder.variables, "optimizer": state_of(self.optimizer)}
        if not self.shares_encoder:
            parts["encoder"] = self.stylizer.encoder.variables
        return parts

    def keep_start(self, share: float) -> None:
        """Take what the weights are now as the start for `mix_with_start`.

        Args:
            share: The start's, in [0, 1).
        """
        self.first_weights = [read(variable) for variable in self.trainable_variables]
        self.first_share = share

    def mix_with_start(self) -> None:
        """Move the weights back to their start, as far as `keep_start` said.

        Reference:
            Wortsman et al., "Robust Fine-Tuning of Zero-Shot Models", CVPR 2022, section 3.
        """
        if not self.first_weights:
            return
        share = self.first_share
        for variable, first in zip(self.trainable_variables, self.first_weights, strict=True):
            variable.assign((1 - share) * read(variable) + share * first)

    def call(self, inputs):
        photo = _to_unit(inputs["content"])
        taps, encoded = self._encode(photo)
        means, stds, style_taps = self._style_statistics(inputs)
        mean, std = self._style_code(inputs, means, stds)
        image = self.stylizer.paint(encoded, mean, std, ops.full((1, 1, 1, 1), self.alpha))
        outputs = {"image": image, "content": self._content(photo, taps, means, stds, inputs)}
        if self.identity_weight:
            # Of every third photo: each costs another pass of the decoder.
            *_, own_mean, own_std = same = [tensor[::3] for tensor in encoded]
            without = ops.zeros((1, 1, 1, 1))
            outputs["identity"] = self.stylizer.paint(same, own_mean, own_std, without)
            outputs["own"] = photo[::3]
        if self.smoothness_weight:
            outputs["photo"] = photo
        if self.stability_weight:
            outputs |= self._see_again(image, mean, std, inputs)
        if self.palette:
            if "style" not in inputs:
                raise ValueError("palette needs the styles' pictures")
            outputs["painting"] = _to_unit(inputs["style"])
        if self.teacher_weight:
            if "style" not in inputs:
                raise ValueError("teacher needs the styles' pictures")
            pair = photo, _to_unit(inputs["style"])
            outputs["target"] = paint_target(self.teacher, *pair, self.alpha, self.palette)
        if self.style_loss.uses_statistics:
            targets = [list(zip(*view, strict=True)) for view in zip(means, stds, strict=True)]
        else:
            targets = [[self.style_loss.summarize(tap) for tap in taps] for taps in style_taps]
        if self.gram_weight:
            if style_taps is None:
                raise ValueError("gram_weight needs styles that are not encoded ahead")
            outputs["grams"] = [list(map(losses.gram_matrix, taps[-2:])) for taps in style_taps[:2]]
        return outputs | {"style": targets}

    def _encode(self, photo):
        """Taps of the photo, None if not at hand; and what `StyleTransfer.paint` takes."""
        if not self.shares_encoder:
            return None, self.stylizer.encode_graph(photo)
        taps = self.encoder(photo)
        levels = taps[-self.levels :]
        means, stds = zip(*map(mean_std, levels), strict=True)
        return taps, [*levels, ops.concatenate(means, -1), ops.concatenate(stds, -1)]

    def _see_again(self, image, mean, std, inputs):
        """Pictures of the photos seen a second time, and the parts of the first that show it."""
        if "second" not in inputs:
            raise ValueError("stability_weight needs second views of photos")
        encoded = self.stylizer.encode_graph(_to_unit(inputs["second"]))
        again = self.stylizer.paint(
            encoded, mean[::3], std[::3], ops.full((1, 1, 1, 1), self.alpha)
        )
        corner = ops.pad(ops.cast(inputs["offset"], "int32"), [(1, 1)])
        return {"again": again, "first": ops.slice(image[::3], corner, ops.shape(again))}

    def _content(self, photo, taps, means, stds, inputs):
        """What the output's deepest taps are compared with, the deepest first."""
        if "content_features" in inputs:
            if self.content_levels > 1:
                raise ValueError("content_levels above 1 needs photos that are not encoded ahead")
            taps = [ops.cast(inputs["content_features"], "float32")]
        elif taps is None or self.views.content_index:
            taps = self.encoder(self.views.content(photo))
        taps = taps[: -self.content_levels - 1 : -1]
        if self.normalized_content:
            return taps
        wanted = [view[self.views.content_index][::-1] for view in (means, stds)]
        return [
            transfer_statistics(tap, *mean_std(tap), mean, std, alpha=self.alpha)
            for tap, mean, std in zip(taps, *wanted, strict=False)
        ]

    def _style_statistics(self, inputs):
        """Means and deviations of the styles, a list of taps for each size; the taps, or None."""
        if "style_means" in inputs:
            return self._split(inputs["style_means"]), self._split(inputs["style_stds"]), None
        taps = [self.encoder(view) for view in self.views.style(_to_unit(inputs["style"]))]
        statistics = [list(map(mean_std, view)) for view in taps]
        means, stds = ([[pair[i] for pair in view] for view in statistics] for i in (0, 1))
        return means, stds, taps

    def _style_code(self, inputs, means, stds):
        """Means and deviations of the styles in the model's own features."""
        if not self.shares_encoder:
            return self.stylizer.encode_graph(_to_unit(inputs["style"]))[-2:]
        return [ops.concatenate(view[0][-self.levels :], -1) for view in (means, stds)]

    def _compared(self, taps):
        """What of the output's taps is compared with the style's statistics."""
        return taps

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        image = seen = y_pred["image"]
        if self.palette:
            seen = recolor(image, y_pred["painting"], self.palette)
        taps = [self.encoder(view) for view in self.views(seen)]
        content_loss = losses.content_loss
        if self.normalized_content:
            content_loss = losses.normalized_content_loss
        content, deepest = 0.0, taps[self.views.content_index][::-1]
        for level, target in enumerate(y_pred["content"]):
            content = content + 0.5**level * content_loss(deepest[level], target)

        def compare(view):
            return self.style_loss(self._compared(taps[view]), y_pred["style"][view])

        style = compare(0)
        variation = losses.total_variation_loss(image)
        total = self._weigh("content", content, self.content_weight)
        total = total + self._weigh("style", style, self.style_weight)
        total = total + self._weigh("tv", variation, self.tv_weight)
        if self.coarse_weight:
            coarse = sum(compare(view) for view in range(1, len(taps)))
            total = total + self._weigh("coarse", coarse, self.style_weight * self.coarse_weight)
        if self.identity_weight:
            identity = losses.identity_loss(y_pred["identity"], y_pred["own"])
            total = total + self._weigh("identity", identity, self.identity_weight)
        if self.gram_weight:
            gram = sum(
                losses.relative_gram_loss(self._compared(view)[-2:], grams)
                for view, grams in zip(taps, y_pred["grams"], strict=False)
            )
            total = total + self._weigh("gram", gram, self.gram_weight)
        if self.range_weight:
            over = losses.range_loss(image)
            total = total + self._weigh("range", over, self.range_weight)
        if self.stability_weight:
            unstable = losses.stability_loss(y_pred["first"], y_pred["again"])
            total = total + self._weigh("stability", unstable, self.stability_weight)
        if self.smoothness_weight:
            uneven = losses.smoothness_loss(seen, y_pred["photo"])
            total = total + self._weigh("smoothness", uneven, self.smoothness_weight)
        if self.teacher_weight:
            target = y_pred["target"]
            features = self.encoder(self.views.content(target))[-1]
            distance = losses.teacher_loss(seen, target, deepest[0], features)
            total = total + self._weigh("teacher", distance, self.teacher_weight)
        return devices.share(total)

    def _weigh(self, name, loss, weight):
        """A term of the loss, which is also shown without its weight."""
        self.trackers[name].update_state(loss)
        return weight * loss

    def _split(self, statistics):
        views, start = [], 0
        for _ in range(self.views.count):
            views.append([])
            for tap in self.encoder.outputs:
                width = tap.shape[-1]
                part = ops.cast(statistics[:, start : start + width], "float32")
                views[-1].append(ops.reshape(part, (-1, 1, 1, width)))
                start += width
        return views


def _to_unit(pictures):
    return ops.cast(pictures, "float32") / 255.0
