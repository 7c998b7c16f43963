"""Figures are written whole, whatever is missing from what they show."""

import copy

import numpy as np
import pytest
from matplotlib.image import imread

from labelloop.adapters.plots import demo_report, learning_curves
from labelloop.adapters.plots.ends import spread
from labelloop.adapters.plots.style import colours, figure, save
from labelloop.domain.errors import Invalid


@pytest.fixture
def report():
    return {
        "project": "digits",
        "strategy": "margin",
        "score": "accuracy",
        "budget": 60,
        "live": {"labels": [20, 40], "mean": [0.5, 0.8], "low": [0.4, None], "high": [0.6, None]},
        "test": {"labels": [20, 40], "mean": [0.55, 0.8]},
        "random": {"labels": [20, 60], "mean": [0.5, 0.7], "low": [0.4, 0.6], "high": [0.6, 0.8]},
        "full_data_score": 0.95,
        "reached": [{"score": 0.7, "live": 30, "random": 60}, {"score": 0.8, "live": 40, "random": None}],
        "asked": {"a": 30, "b": 10},
        "pool": {"a": 50, "b": 50},
        "annotators": [
            {"annotator": "ada", "accepted": 30, "agreed": 28, "skipped": 1},
            {"annotator": "ben", "accepted": 10, "agreed": None},
        ],
    }


def ink(path):
    """Part of the picture that is not white."""
    return float((imread(path)[:, :, :3].min(axis=2) < 0.95).mean())


def test_a_report_is_drawn(report, tmp_path):
    """Four panels with something in each quarter."""
    demo_report(report, tmp_path / "demo.png")
    pixels = imread(tmp_path / "demo.png")[:, :, :3].min(axis=2) < 0.95
    height, width = pixels.shape
    quarters = [pixels[y : y + height // 2, x : x + width // 2] for y in (0, height // 2) for x in (0, width // 2)]
    assert all(quarter.mean() > 0.01 for quarter in quarters)


def test_a_run_that_came_to_nothing_is_drawn_too(report, tmp_path):
    """No model, no score reached, nobody answered: still a figure that says so."""
    empty = copy.deepcopy(report)
    empty |= {"reached": [], "annotators": [], "asked": {}, "full_data_score": None, "test": None}
    empty["live"] = {"labels": [], "mean": [], "low": [], "high": []}
    demo_report(empty, tmp_path / "demo.png")
    assert ink(tmp_path / "demo.png") > 0


def test_curves_of_many_strategies_are_told_apart(tmp_path):
    """More strategies than colours: no two look alike, and random is the grey one."""
    names = [f"s{number}" for number in range(14)] + ["random"]
    looks = colours(names)
    assert len({(colour, str(dash)) for colour, dash in looks.values()}) == len(names)
    points = [[10, 0.5, 0.4, 0.6], [20, 0.7, 0.7, 0.7]]
    simulation = {"project": "p", "full_data_score": 0.9, "strategies": {name: {"curve": points} for name in names}}
    learning_curves(simulation, tmp_path / "curves.png", score="accuracy")
    assert ink(tmp_path / "curves.png") > 0.005


def test_a_failed_write_leaves_the_old_picture(tmp_path, monkeypatch):
    """Nobody ever sees half a picture."""
    path = tmp_path / "old.png"
    path.write_bytes(b"old")
    with figure(2, 2) as drawn:
        monkeypatch.setattr(drawn, "savefig", lambda *_a, **_k: (_ for _ in ()).throw(OSError("disk full")))
        with pytest.raises(OSError, match="disk full"):
            save(drawn, path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_several_sets_models_and_axes_are_drawn_in_every_format(tmp_path):
    """A panel for each set and model; over labels, time and cost; as pixels and as lines, the same each time."""
    points = [[10, 0.5, 0.4, 0.6], [20, 0.7, 0.7, 0.7]]
    measured = {"curve": points, "seconds": [30.0, 7000.0]}
    one = {"project": "p", "full_data_score": 0.9, "hourly": 20.0, "strategies": {"margin": measured}}
    two = {
        "project": "q",
        "full_data_score": 0.9,
        "models": {"own": 0.8, "forest": 0.9},
        "strategies": {f"{model}/{name}": measured for model in ("own", "forest") for name in ("margin", "random")},
    }
    for over in ("labels", "time", "cost"):
        learning_curves([one, two], tmp_path / f"{over}.png", over=over)
        assert ink(tmp_path / f"{over}.png") > 0.005
    learning_curves([one, two], tmp_path / "one.svg", over="time", title=["First set", ""])
    drawn = (tmp_path / "one.svg").read_bytes()
    learning_curves([one, two], tmp_path / "one.svg", over="time", title=["First set", ""])
    assert (tmp_path / "one.svg").read_bytes() == drawn
    learning_curves(one, tmp_path / "one.pdf")
    assert (tmp_path / "one.pdf").read_bytes().startswith(b"%PDF")


def test_a_picture_of_an_unknown_kind_is_refused(tmp_path):
    """Before anything is drawn, with the endings that can be."""
    with pytest.raises(Invalid, match=r"\.png, \.svg, \.pdf"):
        learning_curves([], tmp_path / "curves.gif")


def test_names_at_the_ends_of_lines_never_cover_each_other():
    """Pushed apart by the height of their letters, kept in order, and those far from others left alone."""
    at = np.array([50.0, 0.0, 1.0, 0.5, 52.0])
    places = spread(at, 10.0)
    assert np.diff(np.sort(places)).min() == pytest.approx(10.0)
    assert np.argsort(places, kind="stable").tolist() == np.argsort(at, kind="stable").tolist()
    assert spread(np.array([0.0, 100.0]), 10.0).tolist() == [0.0, 100.0]
    assert places[[0, 4]].mean() == pytest.approx(51.0)
