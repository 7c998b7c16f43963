"""Batches that do not say the same thing twice: far from each other, or covering what is not covered yet.

Nothing is n × n over the pool and no row is written out again. Rows are looked at lazily: what a row could be worth at
most is known from before, and most rows are never looked at again (Minoux 1978), so that a batch costs little more
than a few passes. The choices are those of the plain greedy rules.
"""

import numpy as np

from labelloop.maths.arrays import Floats, Ints, Matrix
from labelloop.maths.geometry import (
    CELLS,
    Euclid,
    Gradients,
    Space,
    distances,
    pieces,
    projector,
    row_count,
    squared_lengths,
)

_ACTIVE = 4_096
"""Rows at least that are kept up to date at every turn."""
_PART = 64
"""One row in so many is kept up to date at every turn, where that is more."""
_PROPOSALS = 32
"""Rows proposed together by k-means++."""


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
        labeled: (l, d), rows that are labeled or in flight: they count as chosen before the first.
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
    n, count = row_count(features), min(max(count, 0), row_count(features))
    space = Euclid(features)
    gain = np.ones(n, dtype=space.norms.dtype) if weights is None else np.asarray(weights, dtype=space.norms.dtype)
    if gain.shape != (n,) or not (gain >= 0).all():
        raise ValueError(f"weights need one number of 0 or more for each of {n} rows")
    if count == 0:
        return np.zeros(0, dtype=np.intp)
    chosen: list[int] = []
    if labeled is not None and row_count(labeled):
        nearest = space.to(labeled)
    else:  # before anything is chosen all are equally far, and the weight alone decides
        chosen.append(_farthest(gain, rng))
        nearest = np.full(n, np.inf, dtype=space.norms.dtype)
        _refresh(space, nearest, chosen)
    farthest = _Farthest(space, nearest, gain, chosen)
    while len(chosen) < count:
        farthest.choose(rng)
    return np.array(chosen, dtype=np.intp)


def badge(
    probabilities: Floats,
    features: Matrix,
    count: int,
    rng: np.random.Generator,
    *,
    taken: tuple[Floats, Matrix] | None = None,
) -> Ints:
    """BADGE: k-means++ over the gradients of the last layer at the predicted class (arXiv 1906.03671, algorithm 1).

    The first is the row of the longest gradient; each next one is drawn with probability proportional to its squared
    distance from those chosen. The gradients are never written out: see `geometry.Gradients`.

    Args:
        probabilities: (n, classes), rows sum to 1.
        features: (n, d), what the last layer sees; dense or sparse by rows.
        count: how many; fewer come back when there are fewer.
        rng: draws.
        taken: probabilities (l, classes) and features (l, d) of rows that are labeled or in flight: they count as
            chosen before the first.

    Returns:
        (min(count, n),) positions, in the order of choice, no repeats.

    Raises:
        ValueError: shapes do not fit, or a value is not finite.

    Example:
        >>> p = np.array([[0.5, 0.5], [0.5, 0.5], [0.9, 0.1]])
        >>> x = np.array([[3.0, 0.0], [3.0, 0.1], [0.0, 1.0]])
        >>> badge(p, x, 2, np.random.default_rng(0)).tolist()
        [1, 2]
    """
    space = Gradients(probabilities, features)
    count = min(max(count, 0), len(space.norms))
    if count == 0:
        return np.zeros(0, dtype=np.intp)
    if taken is not None and len(taken[0]):
        return Seeding(space, space.to(*taken)).draw(count, rng)
    return Seeding(space).draw(count, rng, first=_farthest(space.norms, rng))


class Seeding:
    """k-means++ over points: each next one drawn with probability proportional to its squared distance from the others.

    Distances only shrink, so a row is proposed by an old distance and accepted with the new one over the old: the
    same distribution as drawing by the new ones (rejection sampling), without a pass over all rows for each draw.
    All rows are looked at again when more than half of the proposals fail.

    Args:
        space: the points.
        nearest: (n,) squared distances from what is chosen already; nothing is when not given.
    """

    def __init__(self, space: Space, nearest: Floats | None = None) -> None:
        self._space, self._nearest = space, nearest
        self._chosen: list[int] = []
        self._pending: list[int] = []

    def draw(self, count: int, rng: np.random.Generator, *, first: int | None = None) -> Ints:
        """Positions (count,) in the order they were drawn; rows of distance 0 only when nothing else is left."""
        n = len(self._space.norms)
        if self._nearest is None and count:
            self._nearest = np.full(n, np.inf, dtype=self._space.norms.dtype)
            self._take(int(rng.integers(n)) if first is None else first)
            self._look_again()
        while len(self._chosen) < count:
            self._propose(count, rng)
        return np.array(self._chosen, dtype=np.intp)

    def _take(self, row: int) -> None:
        self._chosen.append(row)
        self._pending.append(row)

    def _look_again(self) -> None:
        assert self._nearest is not None  # noqa: S101 - set by draw
        _refresh(self._space, self._nearest, self._pending)
        self._nearest[self._pending] = 0
        self._pending = []

    def _propose(self, count: int, rng: np.random.Generator) -> None:
        """Draw until all are there or the old distances have become bad proposals."""
        assert self._nearest is not None  # noqa: S101 - set by draw
        reach = np.cumsum(self._nearest, dtype=np.float64)
        if not reach[-1] > 0:  # only copies of what is chosen are left
            rest = np.setdiff1d(np.arange(len(reach)), self._chosen)
            for row in rng.choice(rest, size=count - len(self._chosen), replace=False).tolist():
                self._take(row)
            return
        tried = accepted = 0
        while len(self._chosen) < count and (tried < 2 * _PROPOSALS or 2 * accepted >= tried):
            rows = np.searchsorted(reach, rng.random(_PROPOSALS) * reach[-1], side="right")
            rows = np.minimum(rows, len(reach) - 1)
            luck = rng.random(_PROPOSALS) * self._nearest[rows]
            now = self._nearest[rows]
            if self._pending:
                now = np.minimum(now, self._space.between(rows, np.array(self._pending)).min(axis=1))
                now[np.isin(rows, self._pending)] = 0
            for at in range(_PROPOSALS):
                tried += 1
                if not luck[at] < now[at]:
                    continue
                accepted += 1
                self._take(int(rows[at]))
                if len(self._chosen) == count:
                    return
                now = np.minimum(now, self._space.between(rows, rows[at : at + 1])[:, 0])
                now[rows == rows[at]] = 0
        self._look_again()


def herding(
    features: Matrix,
    count: int,
    rng: np.random.Generator,
    *,
    labeled: Matrix | None = None,
    weights: Floats | None = None,
    radius: float | None = None,
    candidates: int = 2_000,
) -> Ints:
    """Greedy coverage: the row that brings most rows, by their weights, close to something that is chosen.

    Without weights this is MaxHerding (arXiv 2407.12212), with uncertainties as weights Uncertainty Herding (arXiv
    2412.20644); both maximise the weighted mean over rows of the largest kernel value exp(-|x - c|² / 2 radius²), which
    is a facility location: submodular, so that greedy choice comes within 1 - 1/e of the best (Nemhauser et al. 1978),
    and gains seen before bound those of now (Minoux 1978).

    Args:
        features: (n, d), dense or sparse by rows; wide sparse rows are projected at random. Time grows with
            candidates · n, but of many rows only so many are covered, drawn at random, that the kernels of all
            candidates with them take 64 MB: for shortlists and samples.
        count: how many; fewer come back when there are fewer.
        rng: candidates, projection, and ties.
        labeled: (l, d), rows that are labeled or in flight: what they cover is covered.
        weights: (n,), 0 or more; 1 when not given.
        radius: of the kernel. When not given, the median distance of a row from the nearest of `count + l` rows drawn
            at random: the scale at which so many rows can cover the others.
        candidates: rows among which is chosen, drawn at random where there are more; at least `count`.

    Returns:
        (min(count, n),) positions, in the order of choice, no repeats.

    Raises:
        ValueError: features are not finite, or weights negative.

    Example:
        >>> blobs = np.array([[0.0], [0.1], [0.2], [9.0], [9.1], [5.0]])
        >>> herding(blobs, 2, np.random.default_rng(0), radius=0.5).tolist()[0]
        1
    """
    n, count = row_count(features), min(max(count, 0), row_count(features))
    heavy = np.ones(n) if weights is None else np.asarray(weights, dtype=np.float64)
    if heavy.shape != (n,) or not (heavy >= 0).all():
        raise ValueError(f"weights need one number of 0 or more for each of {n} rows")
    if count == 0:
        return np.zeros(0, dtype=np.intp)
    squared_lengths(features)  # names the row where a value is not finite
    project = projector(features, rng)
    points = project(features)
    known = points[:0] if labeled is None else project(labeled)
    if radius is None:
        radius = _radius(points, count + len(known), rng)
    choice = max(candidates, 2 * count)
    able = np.arange(n) if n <= choice else rng.permutation(n)[:choice]
    most = max(_KERNELS // len(able), _COVERED)
    rows = np.arange(n) if n <= most else rng.permutation(n)[:most]
    weighs = heavy[rows].astype(points.dtype)
    return able[_Cover(points[rows], points[able], weighs, radius, known).choose(count, rng)]


# --- lazily farthest -------------------------------------------------------------------------------------------


def _farthest(value: Floats, rng: np.random.Generator) -> int:
    return int(rng.choice(np.flatnonzero(value == value.max())))


def _refresh(space: Space, nearest: Floats, centres: list[int]) -> None:
    """Take centres into the distances of all rows, in blocks."""
    few = np.array(centres, dtype=np.intp)
    if not len(few):
        return
    for rows in pieces(len(nearest), max(CELLS // len(few), 1)):
        np.minimum(nearest[rows], space.between(rows, few).min(axis=1), out=nearest[rows])


class _Farthest:
    """The farthest row from all that is chosen. Distances of the active rows are exact, those of the others too large.

    While the farthest active row is farther than any other could be, the others need not be looked at.
    """

    def __init__(self, space: Space, nearest: Floats, gain: Floats, chosen: list[int]) -> None:
        self._space, self._nearest, self._gain, self._chosen = space, nearest, gain, chosen
        self._active = np.zeros(0, dtype=np.intp)
        self._exact = nearest[:0]
        self._seen = space.seen_from(self._active)
        self._most_of_rest = np.inf
        self._pending: list[int] = []
        self._size = max(_ACTIVE, len(nearest) // _PART)

    def choose(self, rng: np.random.Generator) -> None:
        """Take the next row."""
        worth = self._gain[self._active] * self._exact
        worth[self._exact < 0] = -1
        if len(worth) and worth.max() > max(self._most_of_rest, 0):
            pick = int(self._active[_farthest(worth, rng)])
        else:
            pick = self._look_again(rng)
        self._chosen.append(pick)
        self._pending.append(pick)
        if len(self._active):
            apart = self._seen(np.array([pick]))[:, 0]
            np.minimum(self._exact, apart, out=self._exact)
            self._exact[self._active == pick] = -1

    def _look_again(self, rng: np.random.Generator) -> int:
        """Make all distances exact, choose among all, and keep the farthest rows active from here on."""
        early = 0 < len(self._pending) < _PROPOSALS
        _refresh(self._space, self._nearest, self._pending)
        self._pending = []
        worth = self._gain * self._nearest
        worth[self._chosen] = -1
        pick = _farthest(worth, rng)
        self._size = min(self._size * 2 if early else self._size, max(len(worth) // 8, _ACTIVE))
        if self._size < len(worth):
            order = np.argpartition(worth, len(worth) - self._size)
            self._active = np.sort(order[-self._size :])
            self._most_of_rest = float(worth[order[: -self._size]].max())
        else:
            self._active, self._most_of_rest = np.arange(len(worth)), -np.inf
        self._seen = self._space.seen_from(self._active)
        self._exact = self._nearest[self._active]
        self._exact[np.isin(self._active, self._chosen)] = -1
        return pick


# --- coverage --------------------------------------------------------------------------------------------------

_KERNELS = 1 << 24
"""Kernels that are kept: 64 MB of float32."""
_COVERED = 2_000
"""Rows to cover at least, however many candidates there are."""
_AT_ONCE = 16
"""Candidates that are looked at together."""


def _radius(points: Floats, count: int, rng: np.random.Generator) -> float:
    """Median distance of some rows from the nearest of `count` others, both drawn at random; above 0."""
    order = rng.permutation(len(points))
    centres, rest = points[order[: min(count, 2_000)]], points[order[count:][:2_000]]
    if not len(rest):
        return 1.0
    apart = distances(rest, squared_lengths(rest), centres).min(axis=1)
    median = float(np.sqrt(np.median(apart)))
    return median if median > 0 else float(np.sqrt(apart.max())) or 1.0


class _Cover:
    """Chooses candidates one by one by what they add to the cover of some rows; gains are bounds until looked at.

    The kernel of each candidate with each row is made once, for choosing looks at it again and again.
    """

    def __init__(self, rows: Floats, candidates: Floats, weights: Floats, radius: float, known: Floats) -> None:
        norms, scale, self._weights = squared_lengths(rows), rows.dtype.type(-0.5 / radius**2), weights

        def kernel(centres: Floats) -> Floats:
            apart = distances(rows, norms, centres)
            apart *= scale
            return np.exp(apart, out=apart)

        self._covered = np.zeros(len(rows), dtype=rows.dtype)
        self._kernels = np.empty((len(candidates), len(rows)), dtype=rows.dtype)
        self._bound = np.empty(len(candidates))
        step = max(CELLS // max(len(rows), 1), 1)
        for part in pieces(len(known), step):
            np.maximum(self._covered, kernel(known[part]).max(axis=1), out=self._covered)
        for part in pieces(len(candidates), step):
            self._kernels[part] = kernel(candidates[part]).T
            self._bound[part] = self._gains(part)

    def choose(self, count: int, rng: np.random.Generator) -> Ints:
        """Places (count,) among the candidates, in the order of choice."""
        bound, chosen = self._bound, np.empty(count, dtype=np.intp)
        for turn in range(count):
            fresh = np.zeros(len(bound), dtype=bool) if turn else np.ones(len(bound), dtype=bool)
            while not fresh[best := _farthest(bound, rng)]:
                stale = np.flatnonzero(~fresh)
                few = min(_AT_ONCE, len(stale))
                part = stale[np.argpartition(bound[stale], len(stale) - few)[-few:]]
                bound[part] = np.minimum(bound[part], self._gains(part))
                fresh[part] = True
            chosen[turn], bound[best] = best, -1
            np.maximum(self._covered, self._kernels[best], out=self._covered)
        return chosen

    def _gains(self, places: Ints | slice) -> Floats:
        """What each of a few candidates (k,) would add."""
        more = self._kernels[places] - self._covered
        np.maximum(more, 0, out=more)
        gains: Floats = more @ self._weights
        return gains
