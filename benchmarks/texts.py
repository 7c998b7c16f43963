"""Texts for benchmarks: invented words in Zipf's proportions with topics by class, the same for the same seed.

They are as long and as varied as news items, so that tokenising, digests and feature widths cost what real texts cost.
"""

from collections.abc import Iterator

import numpy as np

SYLLABLES = [first + vowel + last for first in "bcdfghklmnprstvwz" for vowel in "aeiou" for last in ("", "", "n", "r")]
CLASSES = ("world", "sport", "business", "science")
VOCABULARY = 60_000
TOPIC = 600
"""Words that each class prefers."""


def texts(count: int, *, seed: int = 0) -> Iterator[tuple[str, str]]:
    """Pairs of (text, class): about 38 words each, 15 % of them from the class's topic; all texts differ."""
    rng = np.random.default_rng(seed)
    words = _words(rng)
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


def _words(rng: np.random.Generator) -> np.ndarray:
    """Distinct invented words, shorter ones more frequent."""
    made: dict[str, None] = {}
    while len(made) < VOCABULARY:
        size = 1 + int(rng.poisson(0.6 + len(made) / VOCABULARY * 2.2))
        made["".join(rng.choice(SYLLABLES, size=size))] = None
    return np.array(list(made), dtype=object)
