"""What a map relies on in ports.Layouts: the same plane for the same rows, and strangers among their neighbours."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from labelloop.adapters.layouts import planes
from labelloop.adapters.layouts.planes import Planes
from labelloop.ports import LAYOUTS
from labelloop.projects import parse


@pytest.fixture
def project():
    return parse(
        {"name": "p", "labels": {"kind": "classes", "classes": ["a", "b"]}, "features": {"kind": "text"}, "seed": 3}
    )


def clouds(count, seed=0):
    """Rows of three clouds in twenty dimensions, and which cloud each is from."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(3, size=count)
    return (rng.normal(size=(count, 20)) + 6 * np.eye(20)[truth]).astype(np.float32), truth


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("kind", LAYOUTS)
def test_clouds_stay_apart_and_strangers_join_their_own(kind, sparse, project, tmp_path):
    """Base rows and later ones of a cloud lie together on the plane, dense or sparse."""
    (base, truth), (more, theirs) = clouds(240), clouds(30, seed=1)
    if sparse:
        base, more = csr_array(base), csr_array(more)
    layout = Planes(tmp_path).place(project, kind, base, more)
    assert layout.base.shape == (240, 2)
    middle = np.array([np.median(layout.base[truth == cloud], axis=0) for cloud in range(3)])
    for places, clouds_of in ((layout.base, truth), (layout.more, theirs)):
        nearest = np.linalg.norm(places[:, None] - middle, axis=2).argmin(axis=1)
        assert (nearest == clouds_of).mean() > 0.95


def test_a_plane_is_made_once_and_kept(project, tmp_path, monkeypatch):
    """t-SNE runs again for other rows only, also in another process."""
    made = []
    slow = planes._neighbours
    monkeypatch.setattr(planes, "_neighbours", lambda rows, *, seed: made.append(len(rows)) or slow(rows, seed=seed))
    base, _ = clouds(60)
    first = Planes(tmp_path).place(project, "tsne", base, base[:0])
    again = Planes(tmp_path).place(project, "tsne", base, base[:9])
    np.testing.assert_array_equal(first.base, again.base)
    assert again.more == pytest.approx(first.base[:9], abs=0.1)
    assert made == [60]
    Planes(tmp_path).place(project, "tsne", base[:50], base[:0])
    assert made == [60, 50]


@pytest.mark.parametrize("rows", [1, 2, 3, 5])
@pytest.mark.parametrize("kind", LAYOUTS)
def test_a_few_rows_have_a_plane_too(kind, rows, project, tmp_path):
    """One item, one column: finite places."""
    for width in (1, 20):
        base = clouds(rows)[0][:, :width]
        layout = Planes(tmp_path / str(width)).place(project, kind, base, base[:1])
        assert layout.base.shape == (rows, 2)
        assert np.isfinite(layout.base).all()
        assert np.isfinite(layout.more).all()


def test_equal_rows_do_not_divide_by_zero(project, tmp_path):
    """A pool of one item, five times over."""
    base = np.ones((5, 4), dtype=np.float32)
    for kind in LAYOUTS:
        assert np.isfinite(Planes(tmp_path).place(project, kind, base, base).more).all()
