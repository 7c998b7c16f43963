"""`labelloop simulate` as a person or a script meets it."""

import json

import pytest

from labelloop.domain.errors import InvalidProject
from labelloop.projects import Project
from labelloop.settings import Settings
from labelloop.simulation.command import simulate
from labelloop.simulation.find import find

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def file(make, tmp_path, monkeypatch, table):
    """The project as a file in a folder of its own, where no store is."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "points.toml"
    path.write_text(
        f"""
        name = "points"
        labels = {{ kind = "classes", classes = ["many", "few"] }}
        items = {{ kind = "table" }}
        features = {{ kind = "columns" }}
        [source]
        holdout = 0.4
        score = "f1:few"
        [source.data]
        kind = "table"
        path = "{table}"
        """
    )
    return path


def test_json_stands_alone_on_standard_output(file, capsys):
    """Progress goes to standard error, so that a script can read what it asked for."""
    simulate(str(file), strategies="margin, random", seeds=2, budget=30, batch=10, first=10, as_json=True, jobs=1)
    told = json.loads(capsys.readouterr().out)
    assert list(told["strategies"]) == ["margin", "random"]


def test_the_table_says_plainly_what_was_not_reached(file, capsys):
    """Four random labels are not enough, and nothing is made up for them."""
    simulate(str(file), strategies=["random"], seeds=3, budget=4, batch=2, first=2, jobs=1)
    out = capsys.readouterr().out
    assert "not reached at 4" in out
    assert "random" in out


def test_the_plot_is_written_where_asked(file, tmp_path, capsys):
    """The folder is made, the file is a whole PNG, and nothing else is left there."""
    plot = tmp_path / "new" / "curves.png"
    simulate(str(file), strategies=["margin"], seeds=2, budget=30, batch=10, first=10, plot=plot, jobs=1)
    assert plot.read_bytes().startswith(PNG)
    assert list(plot.parent.iterdir()) == [plot]
    assert str(plot) in capsys.readouterr().err.replace("\n", "")


def test_a_project_is_found_by_path_by_name_and_in_the_store(file, make, tmp_path):
    """Whatever people call it: the file, an example of the repository, or what they created."""
    from datetime import UTC, datetime

    from labelloop import wiring

    settings = Settings(home=tmp_path / "home")
    assert find(str(file), settings).name == "points"
    assert find("digits", settings).name == "digits"
    assert not settings.home.exists()
    ports = wiring.build(settings)
    try:
        ports.projects.create(make(name="kept", title="from the store"), datetime.now(UTC))
    finally:
        wiring.close(ports)
    kept = find("kept", settings)
    assert isinstance(kept, Project)
    assert kept.title == "from the store"


def test_an_unknown_project_is_answered_with_the_known_ones(tmp_path):
    """The examples are named."""
    with pytest.raises(InvalidProject, match="digits"):
        find("digit", Settings(home=tmp_path / "none"))
