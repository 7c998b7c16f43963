"""First batches and spread ones by clusters of k-means: centres, typical rows, and one row of each cluster in turn.

Time O(clusters · n · d) per iteration of Lloyd's, at most 20: for shortlists and samples, not for whole pools.
"""

import numpy as np
from scipy.sparse import csr_array

from labelloop.maths.arrays import Floats, Ints, Matrix
from labelloop.maths.diversity import Seeding
from labelloop.maths.geometry import CELLS, Euclid, distances, pieces, projector, row_count, squared_lengths
from labelloop.maths.selection import top

_ITERATIONS = 20
_MOST = 500
"""Clusters of a first batch, at most, unless more rows are asked for (as in TypiClust)."""
_MEMBERS = 2_000
"""Rows of one cluster among which the typical one is looked for, drawn at random from larger clusters."""
_LEAST_TYPICAL = 1e-7


def k_means_start(features: Matrix, count: int, rng: np.random.Generator, *, labeled: Matrix | None = None) -> Ints:
    """The rows nearest to the centres of k-means, one per cluster, those of large clusters first: a first batch.

    k-means++ seeding (Arthur & Vassilvitskii 2007), then Lloyd's iterations. With labeled rows there are as many
    clusters more, and clusters that hold a labeled row are passed over (as in TypiClust, arXiv 2202.02794).

    Args:
        features: (n, d), dense or sparse by rows; wide sparse rows are projected at random.
        count: how many; fewer come back when there are fewer rows.
        rng: seeds, projection and ties.
        labeled: (l, d), rows that are labeled or in flight.

    Returns:
        (min(count, n),) positions, no repeats.

    Raises:
        ValueError: features are not finite.

    Example:
        >>> blobs = np.array([[0.0], [0.1], [0.2], [9.0], [9.1]])
        >>> k_means_start(blobs, 2, np.random.default_rng(0)).tolist()[0]
        1
    """
    return _of_clusters(features, count, rng, labeled=labeled, typical=False)


def typiclust(
    features: Matrix, count: int, rng: np.random.Generator, *, labeled: Matrix | None = None, neighbours: int = 20
) -> Ints:
    """The most typical row of each large cluster without a label: TypiClust (Hacohen et al., arXiv 2202.02794).

    Typicality is one over the mean distance to the nearest neighbours inside the cluster. It asks where rows
    are densest, where `k_means_start` asks in the middle; the paper's gain is with fewer than some 10 labels per class.

    Args:
        features: (n, d), dense or sparse by rows; wide sparse rows are projected at random.
        count: how many; fewer come back when there are fewer rows.
        rng: clusters, projection, ties, and the members drawn of clusters with more than 2,000 rows.
        labeled: (l, d), rows that are labeled or in flight: as many clusters more, and theirs are passed over.
        neighbours: how many neighbours; fewer in smaller clusters.

    Returns:
        (min(count, n),) positions, those of large clusters first, no repeats.

    Raises:
        ValueError: features are not finite.

    Example:
        >>> blobs = np.array([[0.0], [0.1], [0.2], [0.9], [9.0], [9.1]])
        >>> typiclust(blobs, 1, np.random.default_rng(0), neighbours=2).tolist()
        [1]
    """
    return _of_clusters(features, count, rng, labeled=labeled, typical=True, neighbours=neighbours)


def typicality(points: Floats, neighbours: int) -> Floats:
    """One over the mean distance (n,) of rows to their nearest neighbours among each other; n × n, so for few rows.

    Args:
        points: (n, d), dense.
        neighbours: how many; n - 1 where there are fewer.

    Returns:
        (n,) above 0; 1 for a row that is alone.

    Example:
        >>> typicality(np.array([[0.0], [1.0], [3.0]]), 1).round(3).tolist()
        [1.0, 1.0, 0.5]
    """
    n, k = len(points), min(neighbours, len(points) - 1)
    if k <= 0:
        return np.ones(n, dtype=points.dtype)
    norms, total = squared_lengths(points), np.empty(n, dtype=points.dtype)
    for rows in pieces(n, max(CELLS // n, 1)):
        apart = distances(points[rows], norms[rows], points)
        apart[np.arange(len(apart)), np.arange(n)[rows]] = 0  # itself, free of rounding
        total[rows] = np.sqrt(np.partition(apart, k, axis=1)[:, : k + 1]).sum(axis=1)
    result: Floats = k / (total + points.dtype.type(_LEAST_TYPICAL))
    return result


def cluster_margin(
    features: Matrix,
    scores: Floats,
    count: int,
    rng: np.random.Generator,
    *,
    clusters: int | None = None,
    labeled: Matrix | None = None,
) -> Ints:
    """One row of each cluster in turn, small clusters first, the best score first in each.

    After Cluster-Margin (arXiv 2107.14263). The paper clusters the pool once by average linkage and draws at random
    inside a cluster; here the shortlist is clustered by k-means, which needs no n × n, and the score decides inside.

    Args:
        features: (n, d) of the shortlist, dense or sparse by rows.
        scores: (n,), higher asks first.
        count: how many; fewer come back when there are fewer rows.
        rng: clusters and ties.
        clusters: how many clusters; a tenth of the rows, the paper's mean size, when not given.
        labeled: (l, d), rows that are labeled or in flight: they count as choices made in their cluster.

    Returns:
        (min(count, n),) positions, first to ask first, no repeats.

    Raises:
        ValueError: features are not finite, or shapes do not fit.

    Example:
        >>> twins = np.array([[0.0], [0.1], [0.2], [9.0], [9.1]])
        >>> scores = np.array([0.9, 0.8, 0.7, 0.1, 0.2])
        >>> cluster_margin(twins, scores, 3, np.random.default_rng(0), clusters=2).tolist()
        [4, 0, 3]
    """
    n, count = row_count(features), min(max(count, 0), row_count(features))
    if len(scores) != n:
        raise ValueError(f"{len(scores)} scores for {n} rows")
    if count == 0:
        return np.zeros(0, dtype=np.intp)
    project = projector(features, rng)
    points = project(features)
    number = min(max(clusters or -(-n // 10), 1), n)
    centres, cluster = k_means(points, number, rng)
    size, done = np.bincount(cluster, minlength=number), np.zeros(number, dtype=np.int64)
    if labeled is not None and row_count(labeled):
        done = np.bincount(_assigned(project(labeled), centres), minlength=number)
    order = np.lexsort((rng.random(n), -scores, cluster))
    starts = np.concatenate([[0], np.cumsum(size)[:-1]])
    turn = np.empty(n, dtype=np.int64)
    turn[order] = np.arange(n) - starts[cluster[order]]
    turn += done[cluster]
    return np.lexsort((rng.random(number)[cluster], size[cluster], turn))[:count]


def k_means(points: Floats, count: int, rng: np.random.Generator) -> tuple[Floats, Ints]:
    """Centres (count, d) and the cluster of each row (n,) by Lloyd's iterations. Some clusters may be empty.

    Example:
        >>> centres, cluster = k_means(np.array([[0.0], [0.5], [9.0]]), 2, np.random.default_rng(0))
        >>> sorted(centres.ravel().tolist())
        [0.25, 9.0]
    """
    centres = points[Seeding(Euclid(points)).draw(count, rng)]
    cluster, lines = _assigned(points, centres), np.arange(len(points) + 1)
    for _ in range(_ITERATIONS):
        member = csr_array((np.ones(len(points), points.dtype), cluster, lines), shape=(len(points), count))
        sums, size = member.T @ points, np.bincount(cluster, minlength=count)
        filled = size > 0
        centres[filled] = sums[filled] / size[filled, None]
        before, cluster = cluster, _assigned(points, centres)
        if (before == cluster).all():
            break
    return centres, cluster


def _of_clusters(
    features: Matrix,
    count: int,
    rng: np.random.Generator,
    *,
    labeled: Matrix | None,
    typical: bool,
    neighbours: int = 0,
) -> Ints:
    """One row of each of the largest clusters that no labeled row lies in; the rest by lot where there are too few."""
    n, count = row_count(features), min(max(count, 0), row_count(features))
    if count == 0:
        return np.zeros(0, dtype=np.intp)
    project = projector(features, rng)
    points = project(features)
    taken = points[:0] if labeled is None else project(labeled)
    centres, cluster = k_means(points, min(count + len(taken), max(count, _MOST), n), rng)
    size = np.bincount(cluster, minlength=len(centres))
    if len(taken):
        size[_assigned(taken, centres)] = 0
    largest = np.flatnonzero(size)
    largest = largest[top(size[largest].astype(np.float64), count, rng)]
    chosen: Ints
    if typical:
        chosen = np.array([_typical(points, cluster == at, neighbours, rng) for at in largest.tolist()], dtype=np.intp)
    else:
        chosen = _closest_rows(points, centres, cluster)[largest]
    if len(chosen) < count:  # fewer distinct rows than clusters, or too many of them covered
        rest = np.setdiff1d(np.arange(n), chosen)
        chosen = np.concatenate([chosen, rng.choice(rest, size=count - len(chosen), replace=False)])
    return chosen


def _typical(points: Floats, members: Floats, neighbours: int, rng: np.random.Generator) -> int:
    rows = np.flatnonzero(members)
    if len(rows) > _MEMBERS:
        rows = rng.choice(rows, size=_MEMBERS, replace=False)
    return int(rows[top(typicality(points[rows], neighbours), 1, rng)[0]])


def _assigned(points: Floats, centres: Floats) -> Ints:
    """The nearest centre of each row, in blocks of rows."""
    norms, cluster = squared_lengths(points), np.empty(len(points), dtype=np.intp)
    for rows in pieces(len(points), max(CELLS // max(len(centres), 1), 1)):
        cluster[rows] = distances(points[rows], norms[rows], centres).argmin(axis=1)
    return cluster


def _closest_rows(points: Floats, centres: Floats, cluster: Ints) -> Ints:
    """For each cluster the row of it that is nearest to its centre; -1 for an empty one."""
    gaps = points - centres[cluster]
    order = np.lexsort((np.einsum("ij,ij->i", gaps, gaps), cluster))
    closest = np.full(len(centres), -1, dtype=np.intp)
    closest[cluster[order][::-1]] = order[::-1]
    return closest
