"""A labeled set that is easy to tell apart and imbalanced, as a project over a file in a temporary folder."""

import csv

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from labelloop.projects import parse
from labelloop.simulation import data as sets

ROWS = 700


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    """As in a worker: more numeric threads than free cores cost many times the CPU."""
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="session")
def table(tmp_path_factory):
    """Two clouds of points, one row in ten from the smaller one."""
    rng = np.random.default_rng(5)
    codes = (rng.random(ROWS) < 0.1).astype(int)
    points = rng.normal(size=(ROWS, 4)) + np.outer(codes, [2.2, 1.6, 0, 0])
    path = tmp_path_factory.mktemp("set") / "points.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["a", "b", "c", "d", "label"])
        writer.writerows([*map(float, point), ("many", "few")[code]] for point, code in zip(points, codes, strict=True))
    return path


@pytest.fixture(scope="session")
def make(table):
    """A project over that set, with sections exchanged."""

    def project(**sections):
        raw = {
            "name": "points",
            "labels": {"kind": "classes", "classes": ["many", "few"]},
            "items": {"kind": "table"},
            "source": {"data": {"kind": "table", "path": str(table)}, "holdout": 0.4, "score": "f1:few"},
            "features": {"kind": "columns"},
            "model": {"kind": "sklearn", "parameters": {"C": 10.0}},
            "lanes": {"informative": 0.8, "minority": 0.1, "audit": 0.1},
            "retrain": {"first": 10, "labels": 10},
        }
        return parse(raw | sections)

    return project


@pytest.fixture(scope="session")
def project(make):
    """The plain one."""
    return make()


@pytest.fixture(scope="session")
def data(project, tmp_path_factory):
    """Its arrays."""
    return sets.load(project, data_dir=None, folder=tmp_path_factory.mktemp("features"))
