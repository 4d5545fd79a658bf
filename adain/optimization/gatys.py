"""The slow method the fast one is measured against: the picture itself is optimised."""

# What Keras' own annotations say of its operations is wider than what they return.
# pyright: reportOptionalSubscript=false, reportOptionalOperand=false
# pyright: reportOptionalMemberAccess=false, reportAttributeAccessIssue=false
# pyright: reportArgumentType=false, reportReturnType=false

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence

import keras
import numpy as np
from keras import ops

from adain.imaging.pixels import to_input, to_picture, to_unit
from adain.networks import losses
from adain.networks.adain import mean_std
from adain.networks.style_losses import STYLE_LOSSES, proportional_losses
from adain.networks.vgg19 import TAPS, jit_compile
from adain.presets.architecture import ARCHITECTURES

LBFGS, ADAM = "lbfgs", "adam"
CONTENT, NOISE = "content", "noise"

MEMORY = 10
"""Past gradients that L-BFGS keeps; what it needs does not grow with the steps."""


class OptimizationError(ValueError):
    """Optimisation cannot go on; one line with the remedy."""


class _Done(Exception):
    """All steps were taken."""


def optimize_image(
    encoder: keras.Model,
    content: np.ndarray | None = None,
    style: np.ndarray | None = None,
    *,
    start: str | np.ndarray = "",
    size: tuple[int, int] = (512, 512),
    content_weight: float = 1.0,
    style_weight: float = 100.0,
    tv_weight: float = 0.0,
    content_layers: Sequence[str] = ("relu4_1",),
    style_layers: Sequence[str] = TAPS,
    style_loss: str = "gram",
    method: str = LBFGS,
    steps: int = 300,
    learning_rate: float = 0.02,
    seed: int = 0,
    on_step: Callable[[int, dict[str, float], Callable[[], np.ndarray]], None] | None = None,
) -> np.ndarray:
    """Find the picture with the content of one picture and the style of another, step by step.

    `argmin_x content_weight L_c(x) + style_weight L_s(x) + tv_weight L_tv(x)`, x in [0, 1]: no
    decoder, no training, hundreds of times slower than `StyleTransfer.stylize`. Without `content`
    it is texture synthesis; without `style`, the reconstruction of what a layer knows.

    Args:
        encoder: Pictures `(batch, h, w, 3)` float in [0, 1] to the four taps; its weights are
            frozen.
        content, style: HWC uint8 sRGB, any sizes; one may be left out.
        start: "content", "noise", or a picture, HWC uint8 sRGB, the size of the result. Default:
            the content where there is a style too, else noise.
        size: `(height, width)` of the result, pixels, where there is no content.
        content_weight: Weight of the content loss: the squared error of features over the
            variance of the content's own, averaged over `content_layers`.
        style_weight: Weight of the style loss: the squared error of Gram matrices over the square
            of the style's own, or of means and deviations over the style's variance, averaged
            over `style_layers`. Relative losses let one weight do for all layers and pictures.
        tv_weight: Weight of the total variation, summed over channels, averaged over positions.
        content_layers, style_layers: Names out of `networks.TAPS`.
        style_loss: Which of `STYLE_LOSSES`; one that is in proportion to the style.
        method: "lbfgs" or "adam".
        steps: Most evaluations of loss and gradient, for both methods; L-BFGS stops earlier
            where it finds nothing better.
        learning_rate: Of Adam, in units of the range [0, 1]; L-BFGS finds its own.
        seed: Of the noise.
        on_step: Called with the step, from 1, its losses (`loss` is the weighted sum,
            `content_loss`, `style_loss` and `tv_loss` are without weights) and a function that
            gives the best picture so far.

    Returns:
        HWC uint8 sRGB, the size of `content` or `size`: of all steps the one with the least loss.

    Raises:
        OptimizationError: If the loss stops being a number.
        ValueError: If a setting is not one of those above, or pictures are none or of another size.

    Example:
        >>> model = adain.StyleTransfer.from_preset("adain_vgg19")
        >>> image = adain.optimize_image(model.encoder, photo, painting, steps=200)

    Reference:
        Gatys, Ecker & Bethge, "Image Style Transfer Using Convolutional Neural Networks", CVPR
        2016; "Texture Synthesis Using Convolutional Neural Networks", NIPS 2015. Means and
        deviations: Li et al., "Demystifying Neural Style Transfer", IJCAI 2017.
    """
    if content is None and style is None:
        raise ValueError("`content` or `style` must be given. Received: neither")
    if steps < 1:
        raise ValueError(f"`steps` must be 1 or more. Received: steps={steps}")
    _check_choice("method", method, (LBFGS, ADAM))
    _check_choice("style_loss", style_loss, proportional_losses())
    for layer in (*content_layers, *style_layers):
        _check_choice("layers", layer, TAPS)
    height, width = size if content is None else content.shape[:2]
    photo = None if content is None else _to_input(content, "content")
    first = _first_image(start, photo, style, (height, width), seed)
    canvas = Canvas(
        encoder,
        first.shape,
        content_layers=() if content is None else content_layers,
        style_layers=() if style is None else style_layers,
        style_loss=style_loss,
        loss_weights=(content_weight, style_weight, tv_weight),
    )
    painting = None if style is None else _to_input(style, "style")
    targets = canvas.encode_targets(photo, painting)
    best = {"loss": math.inf, "image": first}
    step = 0

    def picture() -> np.ndarray:
        return to_picture(best["image"].reshape(first.shape)[:height, :width])

    def evaluate(x: np.ndarray) -> tuple[float, np.ndarray]:
        nonlocal step
        if step == steps:
            raise _Done
        step += 1
        found, gradient = canvas.evaluate(x, targets)
        if not math.isfinite(found["loss"]):
            raise OptimizationError(
                f"The loss became {found['loss']} at step {step}. Use a smaller content, style or "
                "total variation weight, or a smaller learning rate."
            )
        if found["loss"] < best["loss"]:
            # A copy: the optimisers go on in the same array.
            best.update(loss=found["loss"], image=x.copy())
        if on_step is not None:
            on_step(step, found, picture)
        return found["loss"], gradient

    with contextlib.suppress(_Done):
        x = first.astype("float64").reshape(-1)
        _lbfgs(evaluate, x, steps) if method == LBFGS else _adam(evaluate, x, learning_rate)
    return picture()


def _check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        raise ValueError(f"`{name}` must be of {', '.join(choices)}. Received: {value!r}")


def _first_image(start, photo, style, size: tuple[int, int], seed: int) -> np.ndarray:
    """The picture to start from, `(h, w, 3)` float, padded to sides the encoder takes."""
    if not isinstance(start, str):
        if start.shape[:2] != size:
            raise ValueError(
                f"`start` must be {size[0]} x {size[1]} pixels. Received: shape={start.shape}"
            )
        return _to_input(start, "start")
    # A photo alone is already what its layers know of it.
    start = start or (NOISE if photo is None or style is None else CONTENT)
    _check_choice("start", start, (NOISE,) if photo is None else (NOISE, CONTENT))
    if start == CONTENT:
        return photo
    # Faint: what of it the pooling layers do not see stays in the picture.
    noise = np.random.default_rng(seed).integers(112, 144, (*size, 3), "uint8")
    return _to_input(noise, "size")


class Canvas(keras.Model):
    """The loss of a picture, and its gradient, on any backend.

    Its one weight, `delta`, is what a step of gradient descent at rate 1 adds to the picture:
    after one step from 0 it is the negative gradient.
    """

    def __init__(self, encoder, shape, *, content_layers, style_layers, style_loss, loss_weights):
        super().__init__(name="canvas")
        encoder.trainable = False
        self.content_layers = tuple(content_layers)
        self.style_layers = tuple(style_layers)
        self.style_loss = STYLE_LOSSES[style_loss]
        self.loss_weights = loss_weights
        # Ends at the deepest layer that is asked for.
        outputs = {
            tap: output
            for tap, output in zip(TAPS, encoder.outputs, strict=True)
            if tap in (*content_layers, *style_layers)
        }
        self.encoder = keras.Model(encoder.inputs[0], outputs)
        self.delta = self.add_weight(shape=(1, *shape), initializer="zeros", name="delta")
        # Attributes, not an override of `metrics`: that would drop `loss` from the logs.
        self.content_tracker = keras.metrics.Mean(name="content_loss")
        self.style_tracker = keras.metrics.Mean(name="style_loss")
        self.tv_tracker = keras.metrics.Mean(name="tv_loss")
        self.built = True
        self.compile(optimizer=keras.optimizers.SGD(1.0), jit_compile=jit_compile())

    def encode_targets(self, content, style):
        """What the losses compare with; once, not at every step."""
        targets = {"content": [], "style": []}
        if content is not None:
            taps = self.encoder(content[None])
            targets["content"] = [taps[name] for name in self.content_layers]
        if style is not None:
            taps = self.encoder(style[None])
            summaries = (self.style_loss.summarize(taps[name]) for name in self.style_layers)
            targets["style"] = [list(summary) for summary in summaries]
        return targets

    def evaluate(self, x: np.ndarray, targets) -> tuple[dict[str, float], np.ndarray]:
        """Losses at a picture, flat float64, and the gradient, likewise."""
        self.delta.assign(np.zeros(self.delta.shape, "float32"))
        image = x.astype("float32").reshape(self.delta.shape)
        logs = self.train_on_batch(image, targets, return_dict=True)
        gradient = -ops.convert_to_numpy(self.delta).astype("float64").reshape(-1)
        return {name: float(value) for name, value in logs.items()}, gradient

    def call(self, inputs):
        return inputs + self.delta

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        taps = self.encoder(y_pred)
        content = style = 0.0
        for name, target in zip(self.content_layers, y["content"], strict=True):
            scale = ops.mean(ops.square(mean_std(target)[1]))
            part = losses.content_loss(taps[name], target) / scale
            content = content + part / len(self.content_layers)
        for name, target in zip(self.style_layers, y["style"], strict=True):
            style = style + self.style_loss.relative(taps[name], target) / len(self.style_layers)
        pixels = self.delta.shape[1] * self.delta.shape[2]
        variation = losses.total_variation_loss(y_pred) / pixels
        self.content_tracker.update_state(content)
        self.style_tracker.update_state(style)
        self.tv_tracker.update_state(variation)
        content_weight, style_weight, tv_weight = self.loss_weights
        return content_weight * content + style_weight * style + tv_weight * variation


def _lbfgs(evaluate, x: np.ndarray, steps: int) -> None:
    from scipy.optimize import minimize

    # No tolerances: the number of steps is what was asked for.
    options = {"maxcor": MEMORY, "maxiter": steps, "maxfun": steps, "ftol": 0.0, "gtol": 0.0}
    minimize(evaluate, x, jac=True, method="L-BFGS-B", bounds=[(0, 1)] * x.size, options=options)


def _adam(evaluate, x: np.ndarray, rate: float, betas=(0.9, 0.999)) -> None:
    mean, square = np.zeros_like(x), np.zeros_like(x)
    step = 0
    while True:
        gradient = evaluate(x)[1]
        step += 1
        mean += (1 - betas[0]) * (gradient - mean)
        square += (1 - betas[1]) * (gradient**2 - square)
        move = (mean / (1 - betas[0] ** step)) / (np.sqrt(square / (1 - betas[1] ** step)) + 1e-12)
        x = np.clip(x - rate * move, 0, 1)


def _to_input(picture: np.ndarray, name: str) -> np.ndarray:
    return to_unit(to_input(picture, name, ARCHITECTURES["vgg19"].stride))
