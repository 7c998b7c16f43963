"""Rows of features as points on a plane: by principal axes, which keep distances, or by t-SNE, which keeps neighbours.

t-SNE takes seconds and moves everything when anything is added. So it lays out the base rows alone, once, and the
result is kept; rows that come later are put among their neighbours.
"""

import hashlib
from pathlib import Path

import numpy as np
from scipy.sparse import issparse
from threadpoolctl import threadpool_limits

from labelloop.disk import arrays
from labelloop.maths import projection
from labelloop.maths.arrays import Floats, Matrix
from labelloop.ports import Layout, LayoutKind
from labelloop.projects import Project

AXES = 50
"""t-SNE sees so many principal axes (van der Maaten & Hinton 2008, section 4)."""
PERPLEXITY = 30.0
"""How many neighbours each point of t-SNE minds; fewer where there are few points."""
_FORMAT = 1


class Planes:
    """Implements ports.Layouts below `home/projects/PROJECT/layouts`."""

    def __init__(self, home: Path) -> None:
        self._home = home / "projects"

    def place(self, project: Project, kind: LayoutKind, base: Matrix, more: Matrix) -> Layout:
        """Lay out the base rows and put the others among them; the same rows give the same plane.

        Args:
            project: whose rows they are; its seed is used.
            kind: which layout.
            base: (n, d) rows that the layout is made of, n ≥ 1.
            more: (m, d) rows that are put into it.
        """
        rng = np.random.default_rng(project.seed)
        if kind == "pca":
            axes = projection.principal_axes(base, 2, rng)
            explained = (float(axes.explained[0]), float(axes.explained[1]))
            return Layout(base=axes.place(base), more=axes.place(more), explained=explained)
        axes = projection.principal_axes(base, min(AXES, base.shape[1]), rng)
        near, strangers = axes.place(base), axes.place(more)
        places = self._kept(project, base)
        if places is None:
            places = _neighbours(near, seed=project.seed)
            arrays.save(self._folder(project), "tsne", {"places": places}, notes={"digest": _digest(base)})
        return Layout(base=places, more=projection.among_neighbours(near, places, strangers), explained=None)

    def _kept(self, project: Project, base: Matrix) -> Floats | None:
        """The plane that was made of these very rows."""
        found = arrays.read(self._folder(project), "tsne")
        if found is None or found.notes.get("digest") != _digest(base):
            return None
        return np.array(found.arrays["places"], dtype=np.float64)

    def _folder(self, project: Project) -> Path:
        return self._home / project.name / "layouts"


def _neighbours(rows: Floats, *, seed: int) -> Floats:
    """t-SNE of rows (n, d), started from their principal axes: the whole keeps its shape (Kobak & Berens 2019)."""
    if len(rows) < 4:
        return np.pad(rows, ((0, 0), (0, max(0, 2 - rows.shape[1]))))[:, :2]
    from sklearn.manifold import TSNE

    perplexity = min(PERPLEXITY, (len(rows) - 1) / 3)
    start = np.pad(rows, ((0, 0), (0, max(0, 2 - rows.shape[1]))))[:, :2]
    start = 1e-4 * start / max(float(start[:, 0].std()), 1e-12)
    with threadpool_limits(1):
        made = TSNE(2, perplexity=perplexity, init=start.astype(np.float32), random_state=seed, n_jobs=1)
        return np.asarray(made.fit_transform(rows.astype(np.float32)), dtype=np.float64)


def _digest(rows: Matrix) -> str:
    found = hashlib.sha256(f"{_FORMAT} {PERPLEXITY} {AXES} {rows.shape}".encode())
    parts = [rows.data, rows.indices, rows.indptr] if issparse(rows) else [rows]
    for part in parts:
        found.update(np.ascontiguousarray(part).data)
    return found.hexdigest()
