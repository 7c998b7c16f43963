"""Texts for benchmarks: invented words in Zipf's proportions with topics by class, the same for the same seed.

They are as long and as varied as news items, so that tokenising, digests and feature widths cost what real texts cost.
"""

from collections.abc import Iterator
from functools import lru_cache

import numpy as np

SYLLABLES = [first + vowel + last for first in "bcdfghklmnprstvwz" for vowel in "aeiou" for last in ("", "", "n", "r")]
CLASSES = ("world", "sport", "business", "science")
VOCABULARY = 60_000
TOPIC = 600
"""Words that each class prefers."""


def texts(count: int, *, seed: int = 0) -> Iterator[tuple[str, str]]:
    """Pairs of (text, class): about 38 words each, 15 % of them from the class's topic; all texts differ."""
    rng = np.random.default_rng(seed)
    words = _words()
    weights = 1.0 / np.arange(1, VOCABULARY + 1) ** 1.05
    topics = rng.permutation(np.arange(200, 20_000))[: TOPIC * len(CLASSES)].reshape(len(CLASSES), TOPIC)
    bounds = np.cumsum(weights / weights.sum())
    for start in range(0, count, 5_000):
        size = min(5_000, count - start)
        lengths = np.clip(rng.lognormal(3.6, 0.35, size), 8, 120).astype(int)
        codes = rng.integers(len(CLASSES), size=size)
        drawn = np.searchsorted(bounds, rng.random(int(lengths.sum())) * bounds[-1])
        owner = np.repeat(codes, lengths)
        topical = rng.random(drawn.size) < 0.15
        drawn[topical] = topics[owner[topical], rng.integers(TOPIC, size=int(topical.sum()))]
        ends = np.cumsum(lengths)
        for code, end, length in zip(codes, ends, lengths, strict=True):
            yield " ".join(words[drawn[end - length : end]]).capitalize() + ".", CLASSES[code]


@lru_cache
def _words() -> np.ndarray:
    """Distinct invented words, shorter ones more frequent; the same for every seed."""
    rng = np.random.default_rng(0)
    made: dict[str, None] = {}
    while len(made) < VOCABULARY:
        sizes = 1 + rng.poisson(0.6 + len(made) / VOCABULARY * 2.2, 1_000)
        syllables = iter(rng.integers(len(SYLLABLES), size=int(sizes.sum())).tolist())
        made.update(dict.fromkeys("".join(SYLLABLES[next(syllables)] for _ in range(size)) for size in sizes))
    return np.array(list(made)[:VOCABULARY], dtype=object)
