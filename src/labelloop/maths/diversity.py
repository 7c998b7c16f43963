"""Batches that do not say the same thing twice: rows chosen by where they lie, dense or sparse.

Distances are Euclidean, squared, from norms and one product per centre, so no row is ever copied and nothing is n × n.
Meant for a shortlist or a sample: k-center costs O(count · n · d).
"""

import numpy as np
from scipy.sparse import csr_array, issparse

from labelloop.maths.arrays import Floats, Ints, Matrix
from labelloop.maths.selection import top

_CELLS = 1 << 22
"""Numbers of one block of distances: 16 MB of float32."""
_WIDEST = 256
"""Sparse rows with more columns are projected before their means are taken."""
_PROJECTED = 128
_ROUNDS = 20


def k_center(
    features: Matrix,
    count: int,
    rng: np.random.Generator,
    *,
    labeled: Matrix | None = None,
    weights: Floats | None = None,
) -> Ints:
    """Greedy k-center: again and again the row farthest from all that is chosen (Sener & Savarese, arXiv 1708.00489).

    At most twice the radius of the best cover (Gonzalez 1985). With weights the squared distance is multiplied by the
    row's weight, so that acquisition scores (scaled to be above 0) and distance decide together.

    Args:
        features: (n, d), dense or sparse by rows.
        count: how many; fewer come back when there are fewer.
        rng: chooses the first row where nothing else does, and breaks ties.
        labeled: (l, d), rows that count as chosen before the first.
        weights: (n,), 0 or more.

    Returns:
        (min(count, n),) positions, in the order of choice, no repeats.

    Raises:
        ValueError: features are not finite, or weights negative.

    Example:
        >>> line = np.array([[0.0], [1.0], [10.0]])
        >>> k_center(line, 1, np.random.default_rng(0), labeled=np.array([[9.0]])).tolist()
        [0]
    """
    n, count = _rows(features), min(max(count, 0), _rows(features))
    norms = _norms(features)
    gain = np.ones(n, dtype=norms.dtype) if weights is None else np.asarray(weights, dtype=norms.dtype)
    if gain.shape != (n,) or not (gain >= 0).all():
        raise ValueError(f"weights need one number of 0 or more for each of {n} rows")
    nearest = np.full(n, np.inf, dtype=norms.dtype)
    if labeled is not None and _rows(labeled):
        nearest = _to_nearest(features, norms, labeled)
    open_, chosen = np.ones(n, dtype=bool), np.empty(count, dtype=np.intp)
    for turn in range(count):
        # Before anything is chosen all are equally far, and the weight alone decides.
        value = gain if np.isinf(nearest[0]) else gain * nearest
        chosen[turn] = pick = _farthest(np.where(open_, value, -1), rng)
        open_[pick] = False
        np.minimum(nearest, _distances(features, norms, features[[pick]])[:, 0], out=nearest)
    return chosen


def k_means_start(features: Matrix, count: int, rng: np.random.Generator, *, labeled: Matrix | None = None) -> Ints:
    """The rows nearest to the centres of k-means, one per cluster, those of large clusters first: a first batch.

    k-means++ seeding (Arthur & Vassilvitskii 2007), then Lloyd's iterations. With labeled rows there are as many
    clusters more, and clusters that hold a labeled row are passed over (as in TypiClust, arXiv 2202.02794). Time
    O((count + labeled) · n · d) per iteration, at most 20 of them: for first batches, not for whole rankings.

    Args:
        features: (n, d), dense or sparse by rows; wide sparse rows are projected at random (distances are kept within
            some 10 %, Johnson & Lindenstrauss).
        count: how many; fewer come back when there are fewer rows.
        rng: seeds, projection and ties.
        labeled: (l, d), rows that are labeled already.

    Returns:
        (min(count, n),) positions, no repeats.

    Raises:
        ValueError: features are not finite.

    Example:
        >>> blobs = np.array([[0.0], [0.1], [0.2], [9.0], [9.1]])
        >>> k_means_start(blobs, 2, np.random.default_rng(0)).tolist()[0]
        1
    """
    n, count = _rows(features), min(max(count, 0), _rows(features))
    if count == 0:
        return np.zeros(0, dtype=np.intp)
    known = labeled if labeled is not None and _rows(labeled) else None
    project = _projector(features, rng)
    points = project(features)
    taken = project(known) if known is not None else points[:0]
    norms = _norms(points)
    centres, cluster = _k_means(points, norms, min(count + len(taken), n), rng)
    covered = np.zeros(len(centres), dtype=bool)
    if len(taken):
        covered[_assigned(taken, _norms(taken), centres)] = True
    closest, size = _closest_rows(points, centres, cluster), np.bincount(cluster, minlength=len(centres))
    usable = np.flatnonzero((closest >= 0) & ~covered)
    chosen = closest[usable[top(size[usable].astype(np.float64), count, rng)]]
    if len(chosen) < count:  # fewer distinct rows than clusters, or too many of them covered
        rest = np.setdiff1d(np.arange(n), chosen)
        chosen = np.concatenate([chosen, rng.choice(rest, size=count - len(chosen), replace=False)])
    return chosen


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
        labeled: (l, d), rows that are labeled already: they count as choices made in their cluster.

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
    n, count = _rows(features), min(max(count, 0), _rows(features))
    if len(scores) != n:
        raise ValueError(f"{len(scores)} scores for {n} rows")
    if count == 0:
        return np.zeros(0, dtype=np.intp)
    project = _projector(features, rng)
    points = project(features)
    number = min(max(clusters or -(-n // 10), 1), n)
    centres, cluster = _k_means(points, _norms(points), number, rng)
    size, done = np.bincount(cluster, minlength=number), np.zeros(number, dtype=np.int64)
    if labeled is not None and _rows(labeled):
        taken = project(labeled)
        done = np.bincount(_assigned(taken, _norms(taken), centres), minlength=number)
    order = np.lexsort((rng.random(n), -scores, cluster))
    starts = np.concatenate([[0], np.cumsum(size)[:-1]])
    turn = np.empty(n, dtype=np.int64)
    turn[order] = np.arange(n) - starts[cluster[order]]
    turn += done[cluster]
    return np.lexsort((rng.random(number)[cluster], size[cluster], turn))[:count]


# --- distances -------------------------------------------------------------------------------------------------


def _rows(features: Matrix) -> int:
    return int(features.shape[0])


def _norms(features: Matrix) -> Floats:
    """Squared lengths (n,)."""
    if issparse(features):
        norms = np.asarray(features.multiply(features).sum(axis=1)).ravel()
    else:
        norms = np.einsum("ij,ij->i", features, features)
    bad = np.flatnonzero(~np.isfinite(norms))
    if len(bad):
        raise ValueError(f"row {bad[0]} of the features has a value that is not finite")
    result: Floats = norms if np.issubdtype(norms.dtype, np.floating) else norms.astype(np.float64)
    return result


def _distances(features: Matrix, norms: Floats, centres: Matrix) -> Floats:
    """Squared distances (n, k) of rows to a few centres, both dense or both sparse."""
    product = features @ centres.T
    dense = product.toarray() if issparse(product) else product
    lengths = _norms(centres)
    result: Floats = np.maximum(norms[:, None] + lengths[None, :] - 2 * dense, 0)
    return result


def _to_nearest(features: Matrix, norms: Floats, centres: Matrix) -> Floats:
    nearest = np.full(len(norms), np.inf, dtype=norms.dtype)
    step = max(_CELLS // max(len(norms), 1), 1)
    for start in range(0, _rows(centres), step):
        part = _distances(features, norms, centres[start : start + step])
        np.minimum(nearest, part.min(axis=1), out=nearest)
    return nearest


def _farthest(value: Floats, rng: np.random.Generator) -> int:
    return int(rng.choice(np.flatnonzero(value == value.max())))


# --- k-means ---------------------------------------------------------------------------------------------------


def _projector(features: Matrix, rng: np.random.Generator) -> "_Projector":
    if issparse(features) and features.shape[1] > _WIDEST:
        kind = np.float32 if features.dtype == np.float32 else np.float64
        axes = rng.standard_normal((features.shape[1], _PROJECTED), dtype=kind) / kind(np.sqrt(_PROJECTED))
        return _Projector(axes)
    return _Projector(None)


class _Projector:
    """Makes rows dense, and narrow where they are wide; the same way each time."""

    def __init__(self, axes: Floats | None) -> None:
        self._axes = axes

    def __call__(self, features: Matrix) -> Floats:
        rows = features if self._axes is None else features @ self._axes
        dense = np.asarray(rows.toarray() if issparse(rows) else rows)
        return dense if np.issubdtype(dense.dtype, np.floating) else dense.astype(np.float64)


def _k_means(points: Floats, norms: Floats, count: int, rng: np.random.Generator) -> tuple[Floats, Ints]:
    """Centres (count, d) and the cluster of each row (n,). Some clusters may be empty."""
    centres = points[_seeds(points, norms, count, rng)]
    cluster, lines = _assigned(points, norms, centres), np.arange(len(points) + 1)
    for _ in range(_ROUNDS):
        member = csr_array((np.ones(len(points), points.dtype), cluster, lines), shape=(len(points), count))
        sums, size = member.T @ points, np.bincount(cluster, minlength=count)
        filled = size > 0
        centres[filled] = sums[filled] / size[filled, None]
        before, cluster = cluster, _assigned(points, norms, centres)
        if (before == cluster).all():
            break
    return centres, cluster


def _seeds(points: Floats, norms: Floats, count: int, rng: np.random.Generator) -> Ints:
    """k-means++: each next seed with probability proportional to its squared distance from the seeds so far."""
    chosen = np.empty(count, dtype=np.intp)
    chosen[0] = rng.integers(len(points))
    nearest = _distances(points, norms, points[chosen[:1]])[:, 0]
    for turn in range(1, count):
        nearest[chosen[:turn]] = 0
        reach = np.cumsum(nearest, dtype=np.float64)
        if reach[-1] > 0:
            at = int(np.searchsorted(reach, rng.random() * reach[-1], side="right"))
            chosen[turn] = min(at, len(points) - 1)
        else:  # only duplicates of seeds are left
            chosen[turn] = rng.integers(len(points))
        np.minimum(nearest, _distances(points, norms, points[chosen[turn : turn + 1]])[:, 0], out=nearest)
    return chosen


def _assigned(points: Floats, norms: Floats, centres: Floats) -> Ints:
    """The nearest centre of each row, in blocks of rows."""
    cluster = np.empty(len(points), dtype=np.intp)
    step = max(_CELLS // max(len(centres), 1), 1)
    for start in range(0, len(points), step):
        part = slice(start, start + step)
        cluster[part] = _distances(points[part], norms[part], centres).argmin(axis=1)
    return cluster


def _closest_rows(points: Floats, centres: Floats, cluster: Ints) -> Ints:
    """For each cluster the row of it that is nearest to its centre; -1 for an empty one."""
    gaps = points - centres[cluster]
    order = np.lexsort((np.einsum("ij,ij->i", gaps, gaps), cluster))
    closest = np.full(len(centres), -1, dtype=np.intp)
    closest[cluster[order][::-1]] = order[::-1]
    return closest
