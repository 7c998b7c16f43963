"""The example projects load, and their data fit them."""

import os
from pathlib import Path

import numpy as np
import pytest

from labelloop import projects, schema
from labelloop.adapters.features.store import FeatureFiles
from labelloop.adapters.files.sources import load_source
from labelloop.domain.states import ItemState
from labelloop.domain.types import Item, ItemNumber
from labelloop.loop import ingest
from labelloop.projects import BundledSource

FOLDER = Path(__file__).parents[2] / "configs" / "projects"
FILES = sorted(FOLDER.glob("*.toml"))


def test_the_promised_examples_are_there() -> None:
    """The names that the documentation and the benchmarks use."""
    names = {path.stem: projects.load(path).name for path in FILES}
    assert names == {
        "ag_news": "ag_news",
        "banking77": "banking77",
        "breast_cancer": "breast_cancer",
        "digits": "digits",
        "mammography": "mammography",
        "mnist": "mnist",
        "sms": "sms_spam",
    }


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_an_example_says_where_its_data_come_from_and_is_complete(path: Path) -> None:
    """A newcomer learns from the file alone what the data are, and everything the file names exists."""
    project = projects.load(path)
    text = path.read_text(encoding="utf-8")
    assert "# Data:" in text
    assert project.source is not None
    assert project.stop.budget is not None
    classes = schema.of(project).classes
    kind, _, name = project.source.score.partition(":")
    assert kind in {"accuracy", "macro_f1", "f1", "average_precision"}
    assert not name or name in classes
    if not isinstance(project.source.data, BundledSource):
        assert project.source.data.path.startswith("$LABELLOOP_DATA/")
        assert "$LABELLOOP_DATA" in text.split("name =")[0]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_source_of_an_example_fits_it(path: Path, tmp_path: Path) -> None:
    """Each row of pool and test set is taken in, and its features are finite numbers."""
    project = projects.load(path)
    assert project.source is not None
    data_dir = os.environ.get("LABELLOOP_DATA")
    if data_dir is None and not isinstance(project.source.data, BundledSource):
        pytest.skip("set LABELLOOP_DATA to the folder of the example data sets")
    data = load_source(project, Path(data_dir) if data_dir else None)
    assert len({item.key for item in data.pool + data.test}) == len(data.pool) + len(data.test)
    assert {item.label for item in data.test} == set(schema.of(project).classes)
    assert all(ingest.check(project, item) is item for item in data.pool[:1_000])
    assert len(data.pool) > (project.stop.budget or 0)

    store = FeatureFiles(tmp_path)
    sample = [
        Item(number=ItemNumber(number), key=item.key, data=item.data, state=ItemState.POOLED)
        for number, item in enumerate(data.pool[:500])
    ]
    store.ensure(project, 0, sample)
    rows = store.take(project, np.arange(len(sample)))
    assert rows.shape[0] == len(sample)
    assert rows.shape[1] > 1
    assert np.isfinite(rows.sum(axis=0)).all()
