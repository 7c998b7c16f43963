"""once: items that are as good as the same are asked once. The best of a group keeps its place, the others go behind.

What is labeled or in flight leads away whoever is its twin. Nothing is thrown out: when all else is asked, twins are.
"""

import numpy as np

from labelloop.loop.evidence import EvidenceSource, features_of, taken
from labelloop.loop.pool import PoolView
from labelloop.loop.texts import Texts
from labelloop.maths import twins
from labelloop.maths.arrays import Ints
from labelloop.projects import Project

HEAD = 5_000
"""Of an order so many are compared with each other; the rest follows as it is."""


def in_order(
    project: Project,
    view: PoolView,
    source: EvidenceSource,
    rng: np.random.Generator,
    numbers: Ints,
    *,
    besides: Ints | None = None,
    texts: Texts | None = None,
) -> Ints:
    """Positions (n,) of the numbers in the order in which they should be asked, all of them.

    `besides` are items that another lane asks; `texts` knows the digests of what items say.
    """
    threshold = project.strategy.near_duplicates
    head = np.arange(min(HEAD, len(numbers)))
    if threshold is None or not len(head):
        return np.arange(len(numbers))
    held = taken(view, rng)[:HEAD]
    if besides is not None:
        held = np.concatenate([held, besides[~np.isin(besides, held)][:HEAD]])
    follows = twins.followers(
        features_of(source, numbers[head]),
        threshold,
        taken=features_of(source, held) if len(held) else None,
        digests=None if texts is None else texts.digests(numbers[head]),
        taken_digests=None if texts is None else texts.digests(held),
    )
    return np.concatenate([head[follows == -1], np.arange(len(head), len(numbers)), head[follows != -1]])
