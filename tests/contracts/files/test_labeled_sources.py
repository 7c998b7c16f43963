"""The labeled examples a project file names: read, checked, cut and shuffled the same way every time."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labelloop import projects
from labelloop.adapters.files.sources import LabeledData, load_source
from labelloop.domain.errors import InvalidItems, InvalidProject

DIGITS = [str(digit) for digit in range(10)]


def project(data: dict[str, Any], classes: list[str], *, seed: int = 0, **source: Any) -> projects.Project:
    """A project with this source."""
    return projects.parse(
        {
            "name": "sourced",
            "seed": seed,
            "labels": {"kind": "classes", "classes": classes},
            "features": {"kind": "text"},
            "source": {"data": data, **source},
        }
    )


def bundled(name: str, classes: list[str], **source: Any) -> LabeledData:
    """A data set that ships with scikit-learn, cut as asked."""
    return load_source(project({"kind": "bundled", "name": name}, classes, **source), None)


@pytest.mark.parametrize(
    "name, classes, rows, fields",
    [
        ("digits", DIGITS, 1_797, {"image"}),
        ("breast_cancer", ["malignant", "benign"], 569, {"mean radius", "worst texture"}),
        ("iris", ["setosa", "versicolor", "virginica"], 150, {"sepal length (cm)"}),
        ("wine", ["class_0", "class_1", "class_2"], 178, {"alcohol"}),
    ],
)
def test_bundled_sets_need_no_download(name: str, classes: list[str], rows: int, fields: set[str]) -> None:
    """All rows are there, labeled, with stable keys and fields that people can read."""
    data = bundled(name, classes)
    assert len(data.pool) == rows
    assert data.test == []
    assert {item.key for item in data.pool} == {f"{name}-{row:04d}" for row in range(rows)}
    assert {item.label for item in data.pool} == set(classes)
    assert all(fields <= set(item.data) for item in data.pool)


def test_digits_are_rows_of_grey_values() -> None:
    """Eight rows of eight whole numbers from 0 to 16: a picture that JSON carries."""
    image = bundled("digits", DIGITS).pool[0].data["image"]
    assert [len(row) for row in image] == [8] * 8
    assert all(isinstance(value, int) and 0 <= value <= 16 for row in image for value in row)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), holdout=st.floats(0.02, 0.8), keep=st.floats(0, 1))
def test_holdout_and_thinning_cut_each_class_alike(seed: int, holdout: float, keep: float) -> None:
    """Pool and test set are disjoint, stratified, thinned as asked, and the same for the same seed."""
    classes = ["setosa", "versicolor", "virginica"]
    cut = {"holdout": holdout, "keep": {"setosa": keep}}
    data = bundled("iris", classes, seed=seed, **cut)
    again = bundled("iris", classes, seed=seed, **cut)
    assert [item.key for item in data.pool] == [item.key for item in again.pool]
    assert [item.key for item in data.test] == [item.key for item in again.test]
    assert not {item.key for item in data.pool} & {item.key for item in data.test}
    pool, test = (Counter(item.label for item in part) for part in (data.pool, data.test))
    for name in classes:
        rows = round(50 * keep) if name == "setosa" else 50
        assert pool[name] + test[name] == rows
        assert test[name] == (min(max(1, round(rows * holdout)), rows - 1) if rows else 0)


def test_another_seed_gives_another_order_and_another_cut() -> None:
    """The pool is shuffled: its order must not give the labels away."""
    one, two = (bundled("iris", ["setosa", "versicolor", "virginica"], seed=seed, holdout=0.3) for seed in (1, 2))
    assert [item.key for item in one.pool] != [item.key for item in two.pool]
    assert {item.key for item in one.test} != {item.key for item in two.test}
    assert len({item.label for item in one.pool[:15]}) > 1


def test_a_limit_is_a_random_part_of_the_pool_only() -> None:
    """The test set stays whole, so that scores stay comparable."""
    full = bundled("digits", DIGITS, holdout=0.3)
    small = bundled("digits", DIGITS, holdout=0.3, limit=100)
    assert [item.key for item in small.pool] == [item.key for item in full.pool[:100]]
    assert [item.key for item in small.test] == [item.key for item in full.test]


def test_tables_with_a_test_file_and_renamed_classes(tmp_path: Path) -> None:
    """Two files of one shape: pool and test set; no further holdout is cut."""
    for name, rows in (("train", 6), ("test", 2)):
        lines = [f"{number % 2}\ttext {number}" for number in range(rows)]
        (tmp_path / f"{name}.tsv").write_text("\n".join(lines))
    table = {
        "kind": "table",
        "path": "$LABELLOOP_DATA/train.tsv",
        "test_path": "${LABELLOOP_DATA}/test.tsv",
        "columns": ["label", "text"],
        "quoting": False,
        "classes": {"0": "no", "1": "yes"},
    }
    data = load_source(project(table, ["no", "yes"], holdout=0.5), tmp_path)
    assert Counter(item.label for item in data.pool) == {"no": 3, "yes": 3}
    assert [(item.key, item.label, item.data) for item in data.test] == [
        ("test-000001", "no", {"text": "text 0"}),
        ("test-000002", "yes", {"text": "text 1"}),
    ]


def test_archives_with_test_arrays(tmp_path: Path) -> None:
    """Pool and test set of one archive have keys of their own."""
    np.savez(
        tmp_path / "a.npz",
        X_train=np.zeros((4, 2, 2), dtype=np.uint8),
        y_train=np.array([0, 1, 0, 1]),
        X_test=np.ones((2, 2, 2), dtype=np.uint8),
        y_test=np.array([1, 0]),
    )
    arrays = {"kind": "arrays", "path": "$LABELLOOP_DATA/a.npz", "features": "X_train", "label": "y_train"}
    arrays |= {"test_features": "X_test", "test_label": "y_test", "field": "image"}
    data = load_source(project(arrays, ["0", "1"]), tmp_path)
    assert {item.key for item in data.pool} == {f"a-{number:06d}" for number in (1, 2, 3, 4)}
    assert [(item.key, item.label) for item in data.test] == [("test-a-000001", "1"), ("test-a-000002", "0")]
    assert data.test[0].data == {"image": [[1, 1], [1, 1]]}


def test_what_to_set_is_said_when_data_are_missing(tmp_path: Path) -> None:
    """Unset variable, missing file, no source at all: three errors that each say what to do."""
    table = {"kind": "table", "path": "$LABELLOOP_DATA/none.csv"}
    with pytest.raises(InvalidProject, match=r"LABELLOOP_DATA is not set\. Set it to the folder"):
        load_source(project(table, ["a", "b"]), None)
    with pytest.raises(InvalidProject, match=r"none\.csv: there is no such file"):
        load_source(project(table, ["a", "b"]), tmp_path)
    bare = {"name": "bare", "labels": {"kind": "classes", "classes": ["a", "b"]}, "features": {"kind": "text"}}
    with pytest.raises(InvalidProject, match=r"no \[source.data\]"):
        load_source(projects.parse(bare), None)


@pytest.mark.parametrize(
    "content, reason",
    [
        ("label,text\na,x\nc,y\n", r"'a-000002'.*label 'c'.*\(a, b\)"),
        ("label,text\na,x\n,y\n", "'a-000002'.*has no label"),
        ("label,text\na,x\nb,y,z\n", "line 3: 3 fields"),
        ("text\nx\n", "no column 'label'; columns there: 'text'"),
    ],
)
def test_rows_that_do_not_fit_are_errors(tmp_path: Path, content: str, reason: str) -> None:
    """A simulation on half a data set would lie, so here a bad row is an error, not a report."""
    (tmp_path / "a.csv").write_text(content)
    table = {"kind": "table", "path": "$LABELLOOP_DATA/a.csv"}
    with pytest.raises(InvalidItems, match=reason):
        load_source(project(table, ["a", "b"]), tmp_path)


def test_thinning_an_unknown_class_is_an_error() -> None:
    """A typo in `keep` would leave the data balanced without a word."""
    with pytest.raises(InvalidProject, match=r"source.keep names 'setsoa'"):
        bundled("iris", ["setosa", "versicolor", "virginica"], keep={"setsoa": 0.1})
