"""Style codes, all that AdaIN needs of a style, and their algebra."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from adain.imaging.palette import Palette, mix_palettes
from adain.presets import npz

_ABOUT = ("preset", "encoder", "name", "credit", "license", "tuned")
_LARGEST = float(np.finfo("float16").max)

_MAX_BYTES = 2**22
"""A style card has a few kilobytes; a file that unpacks to more is something else."""


class StyleCode:
    """What is needed of a style: the channel means and deviations at each level, and its palette.

    Codes add and scale as vectors do: `0.5 * a + 0.5 * b` is the style halfway between; strength
    is the same operation with the content's own code as the other end.

    Args:
        means, stds: One array `(channels,)` for each encoder level the preset uses.
        palette: Mean colour and covariance of the picture; None in codes of older versions, with
            which no colours can be moved.
        preset: Name of the preset that made the code; codes of different presets do not mix.
        encoder: Which weights of its encoder did, the beginning of their SHA-256; likewise.
        name, credit, license: About the style picture; kept in the style card.
        tuned: How `adain tune` has changed the code; "" for one that was measured.

    Example:
        >>> code = model.encode_style(adain.load_image("starry.jpg"))
        >>> code.save("starry.npz")
        >>> half = adain.mix([code, adain.StyleCode.load("wave.npz")], [0.5, 0.5])
    """

    def __init__(
        self,
        means: Sequence[np.ndarray],
        stds: Sequence[np.ndarray],
        *,
        palette: Palette | None = None,
        preset: str = "",
        encoder: str = "",
        name: str = "",
        credit: str = "",
        license: str = "",
        tuned: str = "",
    ):
        with np.errstate(over="ignore"):  # The check below says it better.
            self.means = tuple(np.asarray(mean, "float32").reshape(-1) for mean in means)
            self.stds = tuple(np.asarray(std, "float32").reshape(-1) for std in stds)
        if self.widths != tuple(std.size for std in self.stds) or not self.means:
            raise ValueError(
                "`means` and `stds` must be equally long lists of equally long vectors. "
                f"Received: means of {self.widths}, stds of {tuple(s.size for s in self.stds)}"
            )
        vectors = (*self.means, *self.stds)
        # Features of any network here fit half precision, as its weights do; NaN fails as well.
        if not all(np.all(np.abs(vector) <= _LARGEST) for vector in vectors):
            raise ValueError(
                f"`means` and `stds` must be finite, between {-_LARGEST:g} and {_LARGEST:g}. "
                "Received: NaN, infinite or larger numbers"
            )
        if min(vector.min(initial=0) for vector in self.stds) < 0:
            raise ValueError("`stds` must be 0 or more. Received: negative numbers")
        for key, text in zip(_ABOUT, (preset, encoder, name, credit, license, tuned), strict=True):
            if not isinstance(text, str):
                raise ValueError(f"`{key}` must be text. Received: {key}={text!r}")
        self.palette = palette
        self.preset = preset
        self.encoder = encoder
        self.name = name
        self.credit = credit
        self.license = license
        self.tuned = tuned

    @property
    def widths(self) -> tuple[int, ...]:
        """Number of channels at each level."""
        return tuple(mean.size for mean in self.means)

    def check(self, preset: str, encoder: str, widths: tuple[int, ...]) -> None:
        """Whether this is a code of some weights.

        Args:
            preset: Their name.
            encoder: The beginning of their encoder's SHA-256, "" if unknown.
            widths: Channels of each level.

        Raises:
            ValueError: If it is not; one line with what was expected and what was received.
        """
        if self.widths != widths or (self.preset and self.preset != preset):
            raise ValueError(
                f"The style code must be of preset {preset!r} (channels {widths}). "
                f"Received: {self!r}"
            )
        if self.encoder and encoder and self.encoder != encoder:
            raise ValueError(
                f"The style code was made with other weights of {preset!r}; make it again with "
                f"`adain styles save`. Received: {self!r}"
            )

    def __repr__(self) -> str:
        encoder = f", encoder={self.encoder!r}" if self.encoder else ""
        about = f"name={self.name!r}, preset={self.preset!r}{encoder}"
        return f"StyleCode({about}, widths={self.widths})"

    def save(self, path) -> None:
        """Write a style card: an `.npz` without pickle, a few kilobytes."""
        arrays = {f"mean_{i}": mean for i, mean in enumerate(self.means)}
        arrays |= {f"std_{i}": std for i, std in enumerate(self.stds)}
        if self.palette is not None:
            arrays["palette_mean"] = self.palette.mean.astype("float32")
            arrays["palette_covariance"] = self.palette.covariance.astype("float32")
        about = {key: getattr(self, key) for key in _ABOUT}
        npz.save(path, arrays, about | {"format": "adain style card 1"})

    @classmethod
    def load(cls, path) -> StyleCode:
        """Read a style card.

        Raises:
            ValueError: If the file is not a style card, or holds what no picture can have:
                numbers that are not finite or too large, negative deviations.
        """
        arrays, about = npz.load(path, limit=_MAX_BYTES)
        if about.pop("format", None) != "adain style card 1":
            raise ValueError(f"{path} is not a style card. Make one with `StyleCode.save`.")
        if unknown := sorted(about.keys() - {*_ABOUT}):
            raise ValueError(f"{path} is a damaged style card (unknown entry {unknown[0]!r}).")
        levels = range(sum(key.startswith("mean_") for key in arrays))
        try:
            means, stds = ([arrays[f"{key}_{i}"] for i in levels] for key in ("mean", "std"))
            palette = None
            if "palette_mean" in arrays or "palette_covariance" in arrays:
                palette = Palette(arrays["palette_mean"], arrays["palette_covariance"])
            return cls(means, stds, palette=palette, **about)
        except (KeyError, TypeError, ValueError) as error:
            missing = isinstance(error, KeyError)
            reason = f"no entry {error}" if missing else str(error).rstrip(".")
            raise ValueError(f"{path} is a damaged style card ({reason}).") from error


def mix(codes: Sequence[StyleCode], weights: Sequence[float] | None = None) -> StyleCode:
    """Weighted mean of style codes.

    Args:
        codes: One or more codes of the same preset.
        weights: One number a code, normalised to sum to 1; equal when left out.

    Returns:
        The mixed code; its name lists the parts.

    Raises:
        ValueError: If the codes come from different presets, or the weights do not sum to a
            positive number.
    """
    if not isinstance(codes, Iterable):
        raise ValueError(f"`codes` must be a list of StyleCode. Received: {type(codes).__name__}")
    codes = list(codes)
    for code in codes:
        if not isinstance(code, StyleCode):
            raise ValueError(
                "`codes` must be StyleCode: encode pictures first, with `encode_style`, or use "
                f"StyleMix in a pipeline. Received: {type(code).__name__}"
            )
    weights = [1.0] * len(codes) if weights is None else [float(weight) for weight in weights]
    if not codes or len(codes) != len(weights):
        raise ValueError(
            "`weights` must hold one number for each code. "
            f"Received: {len(codes)} codes, {len(weights)} weights"
        )
    if any(weight < 0 for weight in weights) or not 0 < sum(weights) < float("inf"):
        raise ValueError(f"`weights` must be 0 or more and not all 0. Received: weights={weights}")
    kinds = {(code.preset, code.widths) for code in codes}
    # Those that do not tell may be of any.
    encoders = {code.encoder for code in codes if code.encoder}
    if len(kinds) > 1 or len(encoders) > 1:
        raise ValueError(f"Codes of different presets do not mix. Received: {codes}")
    shares = [weight / sum(weights) for weight in weights]
    palettes = [code.palette for code in codes if code.palette is not None]

    def blend(vectors) -> Any:
        return sum(share * vector for share, vector in zip(shares, vectors, strict=True))

    return StyleCode(
        [blend(level) for level in zip(*(code.means for code in codes), strict=True)],
        [blend(level) for level in zip(*(code.stds for code in codes), strict=True)],
        palette=mix_palettes(palettes, shares) if len(palettes) == len(codes) else None,
        preset=codes[0].preset,
        encoder="".join(encoders),
        name=" + ".join(dict.fromkeys(code.name for code in codes if code.name)),
        credit="; ".join(dict.fromkeys(code.credit for code in codes if code.credit)),
        license="; ".join(dict.fromkeys(code.license for code in codes if code.license)),
        tuned="; ".join(dict.fromkeys(code.tuned for code in codes if code.tuned)),
    )
