"""What every benchmark's report promises to whoever reads it."""

import importlib.util
import itertools
import json
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def module(name):
    spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


@pytest.fixture(scope="module")
def report():
    return module("report")


def test_the_last_line_is_what_the_file_keeps(report, tmp_path, capsys):
    """A table for people first; then one JSON object, the same as in the results folder."""
    rows = [{"what": "margin", "cpu_s": 0.0213}, {"what": "top", "ratio": 12.0}]
    report.finish("sample", rows, folder=tmp_path, batch=100)
    lines = capsys.readouterr().out.strip().splitlines()
    told = json.loads(lines[-1])
    assert told == json.loads((tmp_path / "sample.json").read_text())
    assert told["rows"] == rows
    assert told["batch"] == 100
    assert any("margin" in line and "0.0213" in line for line in lines[:-1])


def test_a_result_says_where_and_with_what_it_was_measured(report, tmp_path, capsys):
    """Machine, date and versions; a package that is not there is null, not left out."""
    told = report.finish("sample", [], folder=tmp_path, packages=("no-such-package",))
    capsys.readouterr()
    assert told["versions"]["numpy"] == np.__version__
    assert told["versions"]["no-such-package"] is None
    assert told["machine"]["cores"] >= 1
    assert told["date"].endswith("+00:00")


def test_new_rows_take_the_place_of_old_ones_that_are_about_the_same(report, tmp_path, capsys):
    """A run of one rule keeps the rows of the others; without a result there is nothing to keep."""
    old = [{"rule": "margin", "rows": 10, "cpu_s": 1.0}, {"rule": "entropy", "rows": 10, "cpu_s": 2.0}]
    new = [{"rule": "margin", "rows": 10, "cpu_s": 0.5}, {"rule": "margin", "rows": 20, "cpu_s": 1.5}]
    assert report.merged("sample", new, ("rule", "rows"), folder=tmp_path) == new
    report.finish("sample", old, folder=tmp_path)
    capsys.readouterr()
    merged = report.merged("sample", new, ("rule", "rows"), folder=tmp_path)
    assert [(row["rule"], row["rows"], row["cpu_s"]) for row in merged] == [
        ("margin", 10, 0.5),
        ("entropy", 10, 2.0),
        ("margin", 20, 1.5),
    ]


def test_memory_counts_what_the_work_held_and_no_more(report):
    """Ten megabytes made and dropped are ten megabytes; what was there before does not count."""
    before = np.ones(10_000_000)
    assert report.extra_memory(lambda: float(np.zeros(1_310_720).sum()) + before[0]) == pytest.approx(
        10 * 2**20, rel=0.1
    )


def test_cpu_is_the_least_of_the_repeats(report):
    """Sleep is not work."""
    import time

    assert report.cpu(lambda: time.sleep(0.02)) < 0.015


def test_texts_are_the_same_for_a_seed_differ_and_belong_to_their_classes():
    """The pool of a benchmark can be made again anywhere, has no duplicates, and can be learned."""
    texts = module("texts")
    made = list(texts.texts(600, seed=4))
    assert made == list(texts.texts(600, seed=4))
    assert made != list(texts.texts(600, seed=5))
    assert len({text for text, _ in made}) == 600
    words = [len(text.split()) for text, _ in itertools.islice(texts.texts(300, seed=1), 300)]
    assert 30 < np.mean(words) < 46
    assert {name for _, name in made} == set(texts.CLASSES)
