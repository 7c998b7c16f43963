"""Finished curves in a folder: what is there is not played again, and what changed is."""

import shutil
import subprocess
import sys
import time

import orjson
import pytest

from labelloop.projects import load
from labelloop.simulation import kept
from labelloop.simulation.oracles import Oracles
from labelloop.simulation.replay import Terms
from labelloop.simulation.run import Asked, of_source, run_all


def asked(folder, **changes):
    return Asked(**{"strategies": ["margin", "random"], "seeds": 2, "budget": 40, "jobs": 1, "keep": folder} | changes)


def simulate(project, folder, **changes):
    """The simulation, and how many curves were played for it."""
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.json")}
    (found,) = run_all([of_source(project, None)], asked(folder, **changes))
    return found, sum(path.stat().st_mtime_ns != before.get(path) for path in folder.rglob("*.json"))


def test_a_second_run_plays_nothing_and_says_the_same(project, tmp_path):
    """To the last bit, and one more seed or strategy costs only itself."""
    first, played = simulate(project, tmp_path)
    assert played == 5  # two arms, two seeds, and all labels
    again, played = simulate(project, tmp_path)
    assert played == 0
    assert again == first
    assert simulate(project, tmp_path, seeds=3)[1] == 2
    assert simulate(project, tmp_path, strategies=["entropy", "random"])[1] == 2


@pytest.mark.parametrize(
    "changes", [{"budget": 30}, {"batch": 5}, {"first": 20}, {"oracles": Oracles(noise=0.2)}], ids=str
)
def test_other_terms_are_other_curves(project, tmp_path, changes):
    """Nothing kept is taken for what was not asked; all labels are the same in any case."""
    simulate(project, tmp_path)
    assert simulate(project, tmp_path, **changes)[1] in {4, 5}


def test_another_model_or_other_data_are_other_curves(make, table, tmp_path):
    """The digest covers the project as it is played and the arrays."""
    simulate(make(), tmp_path)
    assert simulate(make(model={"kind": "sklearn", "parameters": {"C": 0.5}}), tmp_path)[1] == 5
    fewer = {"data": {"kind": "table", "path": str(table)}, "holdout": 0.4, "score": "f1:few", "limit": 200}
    assert simulate(make(source=fewer), tmp_path)[1] == 5
    assert simulate(make(title="Another name for people"), tmp_path)[1] == 0


def test_a_damaged_file_is_played_again(project, tmp_path):
    """Half a file, or something else, is no curve."""
    first, _ = simulate(project, tmp_path)
    damaged = sorted(tmp_path.rglob("*margin*.json"))
    damaged[0].write_bytes(damaged[0].read_bytes()[:100])
    damaged[1].write_text('{"curve": 3}')
    again, played = simulate(project, tmp_path)
    assert played == 2
    assert again == first


def test_another_version_of_the_code_is_another_curve(project, data, monkeypatch):
    """What chose with other code may have chosen otherwise."""
    terms = Terms(budget=40, batch=10, first=10)
    options = {"data": kept.digest(data), "strategy": "margin", "seed": 0, "terms": terms}
    before = kept.facts(project, **options)
    monkeypatch.setattr(kept, "_code", lambda: "other")
    assert kept.facts(project, **options) != before
    orjson.dumps(before)


SCRIPT = """
import sys
from pathlib import Path
from labelloop.projects import load
from labelloop.simulation.run import Asked, of_source, run_all
project = load(Path(sys.argv[1]))
asked = Asked(strategies=["margin", "random"], seeds=8, budget=150, batch=5, jobs=1, keep=Path(sys.argv[2]))
run_all([of_source(project, None)], asked)
"""


def test_a_killed_run_goes_on_where_it_stopped(make, table, tmp_path):
    """SIGKILL in the middle: what was finished stays, and the rest is played; no half file is taken for a curve."""
    file, folder = tmp_path / "points.toml", tmp_path / "kept"
    file.write_text(
        f"""
        name = "points"
        labels = {{ kind = "classes", classes = ["many", "few"] }}
        items = {{ kind = "table" }}
        features = {{ kind = "columns" }}
        source = {{ holdout = 0.4, data = {{ kind = "table", path = "{table}" }} }}
        """
    )
    running = subprocess.Popen([sys.executable, "-c", SCRIPT, str(file), str(folder)])
    try:
        deadline = time.monotonic() + 60
        while len(list(folder.rglob("*.json"))) < 4 and time.monotonic() < deadline:
            assert running.poll() is None
            time.sleep(0.05)
    finally:
        running.kill()
        running.wait()
    done = len(list(folder.rglob("points*.json")))
    assert 4 <= done < 17
    project = of_source(load(file), None)
    (found,) = run_all(
        [project], Asked(strategies=["margin", "random"], seeds=2, budget=150, batch=5, jobs=1, keep=folder)
    )
    assert found.seeds == 2
    shutil.rmtree(folder)
    assert run_all([project], Asked(strategies=["margin", "random"], seeds=2, budget=150, batch=5, jobs=1)) == [found]
