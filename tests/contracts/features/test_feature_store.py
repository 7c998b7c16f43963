"""The port FeatureStore over files: computed once, grown, shared between processes, never half."""

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import issparse

from labelloop.adapters.features.store import FeatureFiles
from labelloop.domain.errors import InvalidFeatures
from labelloop.domain.states import ItemState
from labelloop.ports import FeatureStore

WORDS = ["alpha", "beta", "gamma", "delta", "omega", "sigma"]


def dense(matrix: Any) -> Any:
    """A matrix as a plain array."""
    return matrix.toarray() if issparse(matrix) else np.asarray(matrix)


def texts(count: int, *, seed: int = 0) -> list[str]:
    """Short texts of a few words."""
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, size=rng.integers(1, 6))) for _ in range(count)]


SECTIONS = [
    ("text", {"words": (1, 2)}),
    ("text", {"svd": 3}),
    ("text", {"vectorizer": "hashing", "max_terms": 512}),
    ("columns", {}),
    ("embedding", {"field": "vector", "normalize": True}),
    ("pixels", {"field": "image", "maximum": 16}),
]


@pytest.fixture(params=SECTIONS, ids=lambda section: "-".join([section[0], *section[1]]))
def section(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """Each kind of features in turn."""
    return request.param


@pytest.fixture
def pool(items: Callable[..., Any]) -> Callable[[int], Any]:
    """Items that every kind can read."""

    def make(count: int) -> Any:
        rng = np.random.default_rng(7)
        vectors, images = rng.normal(size=(count, 4)).tolist(), rng.integers(0, 17, (count, 3, 2)).tolist()
        parts = zip(texts(count), vectors, images, strict=True)
        return items([{"text": t, "vector": v, "image": i, "x": v[0], "y": v[1] * 100} for t, v, i in parts])

    return make


def fill(store: FeatureStore, project: Any, pool: Any) -> None:
    """Compute all shards of a pool."""
    size = project.items.shard_size
    for start in range(0, len(pool), size):
        store.ensure(project, start // size, pool[start : start + size])


def test_rows_are_computed_once_and_read_by_all(
    section: tuple[str, dict[str, Any]], project: Callable[..., Any], pool: Callable[[int], Any], tmp_path: Path
) -> None:
    """Shards, single rows and a second process's view agree, in float32, and asking again changes no file."""
    named = project(section[0], **section[1])
    store: FeatureStore = FeatureFiles(tmp_path)
    assert store.rows(named, 0) == 0
    fill(store, named, pool(150))
    assert [store.rows(named, shard) for shard in range(4)] == [64, 64, 22, 0]
    whole = np.concatenate([dense(store.shard(named, shard)) for shard in range(3)])
    assert whole.dtype == np.float32
    assert np.isfinite(whole).all()
    numbers = np.array([149, 0, 64, 63, 0, 100])
    assert np.array_equal(dense(store.take(named, numbers)), whole[numbers])
    assert np.array_equal(dense(FeatureFiles(tmp_path).take(named, np.arange(150))), whole)
    files = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.suffix in {".npy", ".json"}}
    fill(FeatureFiles(tmp_path), named, pool(150))
    assert files == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.suffix in {".npy", ".json"}}


def test_rows_of_another_pool_are_known_by_any_item(
    project: Callable[..., Any], pool: Callable[[int], Any], tmp_path: Path
) -> None:
    """Another database beside the same files has other items of the same numbers: everything is forgotten, once."""
    named, mine = project("columns"), pool(150)
    store: FeatureStore = FeatureFiles(tmp_path)
    assert store.adopt(named, mine)
    fill(store, named, mine)
    assert store.adopt(named, [mine[63], mine[149]])
    assert store.adopt(named, [replace(mine[0], number=150, key="new")])
    other = replace(mine[100], data={"x": 1.0, "y": 2.0})
    assert not store.adopt(named, [mine[63], other])
    assert [store.rows(named, shard) for shard in range(3)] == [0, 0, 0]
    assert store.adopt(named, [mine[63], other])


def test_later_items_get_the_fitted_transform(
    section: tuple[str, dict[str, Any]], project: Callable[..., Any], pool: Callable[[int], Any], tmp_path: Path
) -> None:
    """The same item has the same row whether it came first, later, or after a restart; old rows do not move."""
    named = project(section[0], **section[1])
    first = pool(40)
    FeatureFiles(tmp_path).ensure(named, 0, first)
    before = dense(FeatureFiles(tmp_path).shard(named, 0)).copy()
    grown = first + [replace(item, number=item.number + 40, key=f"again-{item.number}") for item in first[:20]]
    store = FeatureFiles(tmp_path)
    store.ensure(named, 0, grown)
    assert store.rows(named, 0) == 60
    after = dense(store.shard(named, 0))
    assert np.array_equal(after[:40], before)
    assert np.allclose(after[40:], before[:20], atol=1e-6)
    store.ensure(named, 0, first)
    assert store.rows(named, 0) == 60


@pytest.fixture(scope="module")
def filled(project: Callable[..., Any], items: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Stores of 200 items, a sparse one and a dense one, with all their rows."""
    made = []
    for features in ({}, {"svd": 3}):
        store, named = FeatureFiles(tmp_path_factory.mktemp("filled")), project("text", **features)
        fill(store, named, items(texts(200), field="text"))
        made.append((store, named, dense(store.take(named, np.arange(200)))))
    return made


@settings(deadline=None, max_examples=25)
@given(numbers=st.lists(st.integers(0, 199), max_size=60))
def test_take_keeps_the_order_asked(filled: Any, numbers: list[int]) -> None:
    """Any rows, repeated ones and none, from any shards, as plain indexing would give them."""
    for store, named, whole in filled:
        rows = store.take(named, np.array(numbers, dtype=np.int64))
        assert rows.shape == (len(numbers), whole.shape[1])
        assert np.array_equal(dense(rows), whole[numbers])


def test_rows_not_computed_yet_are_an_error(filled: Any) -> None:
    """Zeros in their place would train a model on nothing."""
    for store, named, _ in filled:
        for number in (200, 256, 10_000, -1):
            with pytest.raises(InvalidFeatures, match=f"item number {number} are not computed yet"):
                store.take(named, np.array([3, number]))
        with pytest.raises(InvalidFeatures, match="not computed yet"):
            store.shard(named, 4)


def test_shards_are_mapped_not_loaded(filled: Any) -> None:
    """A shard costs no memory until its rows are used, and nobody can write into it."""
    (sparse_store, sparse_project, _), (dense_store, dense_project, _) = filled
    matrix = sparse_store.shard(sparse_project, 0)
    for part in (matrix.data, matrix.indices):
        assert not part.flags.owndata
        assert not part.flags.writeable
    rows = dense_store.shard(dense_project, 0)
    assert not rows.flags.owndata
    assert not rows.flags.writeable


def test_another_section_is_another_set_of_features(
    project: Callable[..., Any], items: Callable[..., Any], tmp_path: Path
) -> None:
    """Changing the project file's features computes them anew, and going back finds the old ones."""
    store, pool = FeatureFiles(tmp_path), items(texts(20), field="text")
    one, two = project("text"), project("text", words=(1, 2))
    store.ensure(one, 0, pool)
    assert store.rows(two, 0) == 0
    store.ensure(two, 0, pool)
    assert store.shard(two, 0).shape[1] > store.shard(one, 0).shape[1]
    assert store.version(one) != store.version(two)
    assert store.version(one) == FeatureFiles(tmp_path / "elsewhere").version(project("text"))


def test_a_pool_made_anew_gets_features_of_its_own(
    project: Callable[..., Any], items: Callable[..., Any], tmp_path: Path
) -> None:
    """A project that was deleted and made again under its name must not see the rows of the old items."""
    named, store = project("text"), FeatureFiles(tmp_path)
    fill(store, named, items(["old words"] * 100, field="text"))
    fresh = items(texts(80), field="text")
    fill(store, named, fresh)
    assert [store.rows(named, shard) for shard in (0, 1)] == [64, 16]
    other = FeatureFiles(tmp_path / "other")
    fill(other, named, fresh)
    numbers = np.arange(80)
    assert np.array_equal(dense(store.take(named, numbers)), dense(other.take(named, numbers)))


def test_a_retired_item_does_not_hold_up_the_others(
    project: Callable[..., Any], items: Callable[..., Any], tmp_path: Path
) -> None:
    """Retiring the item that an error names is a way out: it gets a row of zeros."""
    named, store = project("embedding"), FeatureFiles(tmp_path)
    pool = items([[1.0, 2.0], "broken", [3.0, 4.0]], field="embedding")
    with pytest.raises(InvalidFeatures, match="item-1"):
        store.ensure(named, 0, pool)
    assert store.rows(named, 0) == 0
    pool[1] = replace(pool[1], state=ItemState.RETIRED)
    store.ensure(named, 0, pool)
    assert dense(store.shard(named, 0)).tolist() == [[1, 2], [0, 0], [3, 4]]


def test_a_retired_text_leaves_its_row_empty(
    project: Callable[..., Any], items: Callable[..., Any], tmp_path: Path
) -> None:
    """The same for sparse rows: the others keep their places."""
    named, store = project("text"), FeatureFiles(tmp_path)
    pool = items(["alpha beta", 3, "beta", "gamma"], field="text")
    pool[1] = replace(pool[1], state=ItemState.RETIRED)
    store.ensure(named, 0, pool)
    assert (dense(store.shard(named, 0)) > 0).tolist() == [[1, 1, 0], [0, 0, 0], [0, 1, 0], [0, 0, 1]]


def test_a_failed_first_fit_binds_nobody(
    project: Callable[..., Any], items: Callable[..., Any], tmp_path: Path
) -> None:
    """What was learned from items that could not be computed is forgotten."""
    named, store = project("embedding"), FeatureFiles(tmp_path)
    with pytest.raises(InvalidFeatures):
        store.ensure(named, 0, items([[1.0], [1.0, 2.0]], field="embedding"))
    store.ensure(named, 0, items([[1.0, 2.0], [1.0, 2.0]], field="embedding"))
    assert store.shard(named, 0).shape == (2, 2)


PROGRAM = """
import pickle, sys
from pathlib import Path
import numpy as np
from labelloop.adapters.features.store import FeatureFiles
home, given = Path(sys.argv[1]), pickle.loads(sys.stdin.buffer.read())
project, pool = given
store = FeatureFiles(home)
print("ready", flush=True)
for shard in range(-(-len(pool) // project.items.shard_size)):
    start = shard * project.items.shard_size
    store.ensure(project, shard, pool[start : start + project.items.shard_size])
"""


def start(home: Path, project: Any, pool: Any) -> subprocess.Popen[bytes]:
    """Another process that computes all shards of a pool; it has read its input when this returns."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(pickle.dumps((project, pool)))
    process.stdin.close()
    assert process.stdout.readline() == b"ready\n"
    process.stdout.close()
    return process


def test_processes_that_compute_at_once_agree(
    project: Callable[..., Any], items: Callable[..., Any], tmp_path: Path
) -> None:
    """Two that race for the first fit, from opposite ends of the pool, end with one transform and one set of rows."""
    named, pool = project("text", svd=3), items(texts(500), field="text")
    other = start(tmp_path, named, pool)
    store = FeatureFiles(tmp_path)
    for shard in reversed(range(8)):
        store.ensure(named, shard, pool[shard * 64 : (shard + 1) * 64])
    assert other.wait() == 0
    assert sum(store.rows(named, shard) for shard in range(8)) == 500
    rows = store.take(named, np.arange(500))
    by_text = {item.data["text"]: row for item, row in zip(pool, rows, strict=True)}
    for item, row in zip(pool, rows, strict=True):
        assert np.allclose(by_text[item.data["text"]], row, atol=1e-6)


def test_a_killed_process_leaves_whole_shards_and_no_lock(
    project: Callable[..., Any], items: Callable[..., Any], tmp_path: Path
) -> None:
    """Kill -9 in the middle: what is there is right, the rest is computed by the next caller."""
    named, pool = project("text"), items(texts(1_500), field="text")
    other = start(tmp_path, named, pool)
    store = FeatureFiles(tmp_path)
    while store.rows(named, 2) == 0:
        assert other.poll() is None
    os.kill(other.pid, signal.SIGKILL)
    other.wait()
    fill(store, named, pool)
    assert sum(store.rows(named, shard) for shard in range(24)) == 1_500
    clean = FeatureFiles(tmp_path / "clean")
    fill(clean, named, pool)
    assert np.array_equal(dense(store.take(named, np.arange(1_500))), dense(clean.take(named, np.arange(1_500))))
