"""The model that learns: networks, losses and their weights."""

# What Keras' own annotations say of its operations is wider than what they return.
# pyright: reportOptionalSubscript=false, reportOptionalOperand=false, reportOptionalIterable=false
# pyright: reportOptionalMemberAccess=false, reportOperatorIssue=false

from __future__ import annotations

import keras
from keras import ops

from adain.networks import losses
from adain.networks.adain import mean_std, transfer_statistics
from adain.networks.model import StyleTransfer
from adain.networks.style_losses import STYLE_LOSSES


@keras.saving.register_keras_serializable("adain")
class AdaINTrainer(keras.Model):
    """Fits a model: `L = content_weight L_c + style_weight L_s + tv_weight L_tv + ...`.

    Of a full-width model only the decoder learns, and its encoder is the loss network: a step
    encodes content, style and output once each. A compact model learns as a whole.

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
        alpha: Strength of AdaIN in training, in [0, 1].

    Call arguments:
        inputs: `{"content", "style"}`: `(batch, h, w, 3)` uint8 or float in [0, 255], sRGB; or,
            instead of `"style"`, encoded ahead, `"style_means"` and `"style_stds"`:
            `(batch, sum of channels over all taps)` float32, followed by those of the other sizes
            at which styles are compared. A compact model needs `"style"` as well. With
            `"content_features"`, relu4_1 of the content, it is not encoded.

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
        alpha: float = 1.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.encoder = loss_network or model.encoder
        self.encoder.trainable = False
        self.decoder = model.decoder
        self.stylizer = None if self.encoder is model.encoder else model
        self.views = LossScales(coarse_levels if coarse_weight else 0, detail_size)
        self.content_weight = content_weight
        self.style_weight = style_weight
        self.tv_weight = tv_weight
        self.coarse_weight = coarse_weight
        self.identity_weight = identity_weight
        self.normalized_content = normalized_content
        self.style_loss = STYLE_LOSSES[style_loss]
        self.alpha = alpha
        # Attributes, not an override of `metrics`: that would drop `loss` from the logs.
        self.content_tracker = keras.metrics.Mean(name="content_loss")
        self.style_tracker = keras.metrics.Mean(name="style_loss")
        self.tv_tracker = keras.metrics.Mean(name="tv_loss")
        if coarse_weight:
            self.coarse_tracker = keras.metrics.Mean(name="coarse_loss")
        if identity_weight:
            self.identity_tracker = keras.metrics.Mean(name="identity_loss")
        self.built = True

    @property
    def parts(self) -> dict[str, list]:
        """All variables that change in training, by what they belong to."""
        parts = {"decoder": self.decoder.variables, "optimizer": self.optimizer.variables}
        if self.stylizer is not None:
            parts["encoder"] = self.stylizer.encoder.variables
        return parts

    def call(self, inputs):
        photo = _to_unit(inputs["content"])
        if "content_features" in inputs:
            content = ops.cast(inputs["content_features"], "float32")
        else:
            content = self.encoder(self.views.content(photo))[-1]
        means, stds, style_taps = self._style_statistics(inputs)
        like = self.views.content_index
        target = transfer_statistics(
            content, *mean_std(content), means[like][-1], stds[like][-1], alpha=self.alpha
        )
        # Of every third photo: each costs another pass of the decoder.
        same = slice(None, None, 3) if self.identity_weight else None
        if self.stylizer is None:
            image = self.decoder(target)
            identity = None if same is None else self.decoder(content[same])
        else:
            image, identity = self._paint(photo, self._style_code(inputs), same)
        outputs = {"image": image, "target": target}
        if same is not None:
            outputs |= {"identity": identity, "photo": photo[same]}
        if self.style_loss.uses_statistics:
            targets = [list(zip(*view, strict=True)) for view in zip(means, stds, strict=True)]
        else:
            targets = [[self.style_loss.summarize(tap) for tap in taps] for taps in style_taps]
        return outputs | {"style": targets}

    def _style_statistics(self, inputs):
        """Means and deviations of the styles, a list of taps for each size; the taps, or None."""
        if "style_means" in inputs:
            return self._split(inputs["style_means"]), self._split(inputs["style_stds"]), None
        taps = [self.encoder(view) for view in self.views.style(_to_unit(inputs["style"]))]
        statistics = [list(map(mean_std, view)) for view in taps]
        means, stds = ([[pair[i] for pair in view] for view in statistics] for i in (0, 1))
        return means, stds, taps

    def _style_code(self, inputs):
        """Means and deviations of the styles in the model's own features."""
        return self.stylizer.encode_graph(_to_unit(inputs["style"]))[-2:]

    def _compared(self, taps):
        """What of the output's taps is compared with the style's statistics."""
        return taps

    def _paint(self, photo, code, same):
        encoded = self.stylizer.encode_graph(photo)
        alpha = ops.full((1, 1, 1, 1), self.alpha)
        mean, std = code
        image = self.stylizer.paint(encoded, mean, std, alpha)
        if same is None:
            return image, None
        encoded = [tensor[same] for tensor in encoded]
        return image, self.stylizer.paint(encoded, *encoded[-2:], ops.zeros((1, 1, 1, 1)))

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        taps = [self.encoder(view) for view in self.views(y_pred["image"])]
        # AdaIN's target is the content's features scaled and shifted: normalised, they are equal.
        normalized = self.normalized_content
        content_loss = losses.normalized_content_loss if normalized else losses.content_loss
        content = content_loss(taps[self.views.content_index][-1], y_pred["target"])

        def compare(view):
            return self.style_loss(self._compared(taps[view]), y_pred["style"][view])

        style = compare(0)
        variation = losses.total_variation_loss(y_pred["image"])
        self.content_tracker.update_state(content)
        self.style_tracker.update_state(style)
        self.tv_tracker.update_state(variation)
        total = (
            self.content_weight * content + self.style_weight * style + self.tv_weight * variation
        )
        if self.coarse_weight:
            coarse = sum(compare(view) for view in range(1, len(taps)))
            self.coarse_tracker.update_state(coarse)
            total = total + self.style_weight * self.coarse_weight * coarse
        if self.identity_weight:
            identity = losses.identity_loss(y_pred["identity"], y_pred["photo"])
            self.identity_tracker.update_state(identity)
            total = total + self.identity_weight * identity
        return total

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


class LossScales:
    """The sizes at which the loss network looks at a picture: full, half, a quarter, ...

    Args:
        halvings: How many sizes there are beside the full one.
        detail_size: At full size, only a square of this side in the middle of the output; 0: all
            of it. The content is then compared at half size.
    """

    def __init__(self, halvings: int = 0, detail_size: int = 0):
        self.count = 1 + halvings
        self.detail_size = detail_size
        self.content_index = 1 if detail_size else 0

    def __call__(self, pictures) -> list:
        """`(batch, h, w, 3)` to one such tensor for each size."""
        return [self._view(pictures, index) for index in range(self.count)]

    def style(self, pictures) -> list:
        """The same of styles, all of each: a part would not have the statistics of the whole."""
        return [pictures, *(self._view(pictures, index) for index in range(1, self.count))]

    def content(self, pictures):
        """The one of them at which contents are compared."""
        return self._view(pictures, self.content_index)

    def _view(self, pictures, index: int):
        if index:
            return ops.average_pool(pictures, 2**index, 2**index)
        if not self.detail_size:
            return pictures
        top, left = ((side - self.detail_size) // 2 for side in pictures.shape[1:3])
        rows, columns = (slice(start, start + self.detail_size) for start in (top, left))
        return pictures[:, rows, columns]
