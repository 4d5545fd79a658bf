"""Which styles a picture gets: a function of the seed and its name, the same on every machine."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

_LARGEST = 2**53


@dataclass(frozen=True)
class Draw:
    """How one result is stylised."""

    styles: tuple[int, ...]
    """Numbers of the styles that are blended."""
    weights: tuple[float, ...]
    """One for each style; they sum to 1."""
    alpha: float


class Stream:
    """Random numbers of a seed and some words, independent of any library's version.

    Number i is taken from BLAKE2b of i, keyed by BLAKE2b of seed and words.
    """

    def __init__(self, seed: int, *words: str):
        text = "\0".join([str(seed), *words]).encode("utf-8", "surrogatepass")
        self._key = hashlib.blake2b(text, digest_size=32).digest()
        self._count = 0

    def bits(self) -> int:
        """The next whole number in [0, 2 ** 128)."""
        counter = self._count.to_bytes(8, "little")
        self._count += 1
        digest = hashlib.blake2b(counter, key=self._key, digest_size=16).digest()
        return int.from_bytes(digest, "little")

    def below(self, limit: int) -> int:
        """The next whole number in [0, `limit`)."""
        return self.bits() % limit

    def uniform(self) -> float:
        """The next number in (0, 1)."""
        return (self.bits() % _LARGEST + 0.5) / _LARGEST

    def sample(self, count: int, limit: int) -> list[int]:
        """`count` different whole numbers in [0, `limit`), in any order."""
        # The beginning of a Fisher-Yates shuffle, of which only what moved is kept.
        moved: dict[int, int] = {}
        taken = []
        for first in range(count):
            other = first + self.below(limit - first)
            taken.append(moved.get(other, other))
            moved[other] = moved.get(first, first)
        return taken


def draw(
    seed: int,
    name: str,
    label: str,
    styles: int,
    *,
    draws: int = 1,
    mix: int = 1,
    by: str = "picture",
    alpha: Sequence[float] = (1.0,),
) -> list[Draw]:
    """How a picture is stylised.

    Args:
        seed: Any number; each gives other draws.
        name: The picture's name in its data set.
        label: Its class, "" if it has none.
        styles: How many there are to choose from.
        draws: Results to make, no style in two of them.
        mix: Styles that are blended in each, by weights drawn uniformly from all that sum to 1.
        by: "picture": styles and weights are drawn for each name; "class": for each label.
        alpha: The strength, or the two numbers between which it is drawn for each name.

    Returns:
        One `Draw` for each result. Of more draws, the first ones are the same.

    Example:
        >>> draw(0, "cats/1.jpg", "cats", 16)[0].styles
        (7,)
    """
    source = ("class", label) if by == "class" else ("picture", name)
    numbers = Stream(seed, "styles", *source).sample(draws * mix, styles)
    shares, strengths = Stream(seed, "weights", *source), Stream(seed, "alpha", name)
    found = []
    for index in range(draws):
        chosen = numbers[index * mix : (index + 1) * mix]
        parts = [-math.log(shares.uniform()) for _ in chosen] if mix > 1 else [1.0]
        weights = tuple(part / sum(parts) for part in parts)
        place = strengths.uniform()
        strength = alpha[0] + (alpha[-1] - alpha[0]) * place
        found.append(Draw(tuple(chosen), weights, strength))
    return found
