"""The benchmark of labels: what its numbers say, that a stopped run goes on, and that the peers answer."""

import json
import sys
import tomllib

import labels_arms
import labels_page
import labels_peers
import labels_play
import labels_score
import labels_sets
import numpy as np
import pytest
from labels_play import Arm

from labelloop.projects import example, parse
from labelloop.strategies import Evidence, checked_pick

DIGITS = labels_sets.Case(project=example("digits"), budget=80, random=120, first=20, batch=20)


def played(*scores, arm="a", seed=0):
    labels = tuple(10 * (at + 1) for at in range(len(scores)))
    return {"arm": arm, "seed": seed, "labels": labels, "scores": scores, "rare": labels, "cpu_seconds": 1.0}


def test_the_price_of_a_score_and_the_saving():
    """Labels to a score by straight lines, over the seeds that got there; the saving against random's budget."""
    case = labels_sets.Case(project=DIGITS.project, budget=40, random=100, first=10, batch=10)
    curves = {
        "random": [played(0.1, 0.2, 0.3, 0.4), played(0.1, 0.2, 0.3, 0.4)],
        "ours": [played(0.5, 0.9, 0.95, 1.0), played(0.5, 0.7, 0.8, 0.85)],
    }
    rows = labels_score.rows("x", case, curves, full=1.0, target=0.7)
    random, ours = labels_score.compared(rows, default="ours")
    assert (ours["to_90"], ours["to_90_seeds"]) == (20, 1)
    assert ours["to_random"] == 18  # 15 and 20
    assert ours["saving"] == pytest.approx(0.82)
    assert random["to_random"] is None
    assert ours["gain"] > 0.4
    assert ours["deepest_below_random"] == 0
    assert ours["of_best"] == 1
    assert random["of_best"] < 0.5
    assert random["beyond_default"] == pytest.approx(-ours["gain"])
    assert "beyond_default" not in ours


def test_wrong_answers_are_compared_with_random_under_the_same():
    """An arm of the noisy game is no worse for random's clean curve."""
    curves = {
        "random": [played(0.9, 0.9)],
        "random, 20 % wrong": [played(0.3, 0.3)] * 2,
        "default, 20 % wrong": [played(0.5, 0.5)] * 2,
    }
    rows = labels_score.compared(labels_score.rows("x", DIGITS, curves, full=1.0, target=0.9), default="default")
    assert next(row for row in rows if row["arm"].startswith("default"))["gain"] == pytest.approx(0.2)


def test_what_learns_from_the_pool_is_compared_with_the_same_on_labels_alone():
    """It has a table of its own, with what it gained, and the ways of asking are not measured by it."""
    curves = {
        "random": [played(0.3, 0.3)] * 2,
        "default": [played(0.5, 0.5)] * 2,
        "default, self-trained": [played(0.8, 0.8), played(0.7, 0.7)],
    }
    rows = labels_score.compared(labels_score.rows("sms", DIGITS, curves, full=1.0, target=0.9), default="default")
    default, taught = rows[1:]
    assert taught["beyond_alone"] == pytest.approx(0.25)
    assert default["of_best"] == 1
    lines = labels_page._taught(rows)
    assert [line.split("|")[2].strip() for line in lines[2:]] == ["random", "default", "default, self-trained"]
    assert "+0.250 [" in lines[-1]
    assert len(labels_page._areas(rows, lambda arm: not labels_page._special(arm))) == 4
    assert "| sms, self-trained |" in labels_page._sets(rows)[-1]


def test_rows_of_two_runs_are_compared_over_the_seeds_that_both_have():
    """A curve that lies below random's for a while says how deep; a row without its areas keeps what it had."""
    case = labels_sets.Case(project=DIGITS.project, budget=40, random=100, first=10, batch=10)
    random = [played(0.1, 0.2, 0.3, 0.4), played(0.5, 0.5, 0.5, 0.5)]
    first = labels_score.rows("x", case, {"random": random}, full=1.0, target=0.7)
    peers = {"peer": [played(0.3, 0.2, 0.3, 0.4)] * 2, "once": [played(0.9, 0.9, 0.9, 0.9)]}
    later = labels_score.rows("x", case, peers, full=1.0, target=0.7)
    old = {"set": "x", "arm": "old", "area": 0.2, "gain": 0.07, "curve": [[10, 0.0, 0], [40, 0.4, 0]]}
    _, peer, once, old = labels_score.compared([*first, *later, old], default="default")
    assert -0.1 < peer["gain"] < -0.08  # a little beyond the first, far behind the second
    assert "gain" not in once
    assert peer["deepest_below_random"] == pytest.approx(0.15, abs=0.01)  # random's mean at 20 and beyond is 0.35
    assert old["gain"] == 0.07


def test_the_default_that_is_measured_is_what_a_project_gets_that_names_none():
    """Numbers of a strategy that nobody gets by default would flatter, and so would a page that shows another."""
    plain = parse(DIGITS.project.model_dump(mode="json", exclude={"strategy", "retrain"}))
    assert labels_arms.arms()["default"].project(DIGITS).strategy == plain.strategy
    case, rules = labels_sets.case("sms"), plain.retrain
    assert (case.first, case.batch, case.growth) == (rules.first, rules.labels, rules.growth)
    shown = tomllib.loads(labels_page.PAGE.read_text(encoding="utf-8").split("```toml")[1].split("```")[0])
    said = parse(plain.model_dump(mode="json") | shown)
    assert (said.strategy, said.retrain) == (plain.strategy, plain.retrain)


@pytest.mark.parametrize("arm", list(labels_arms.arms()))
def test_every_arm_is_a_project_that_can_be_played(arm, tmp_path, monkeypatch):
    """No arm is refused by the project file, and none brings an audit lane."""
    monkeypatch.setattr(sys, "path", list(sys.path))  # announcing adds to it
    labels_peers.announce(tmp_path)
    project = labels_arms.arms()[arm].project(DIGITS)
    assert "audit" not in {lane.value for lane in project.lanes.shares()}
    assert parse(project.model_dump(mode="json")) == project


def test_a_second_run_reads_what_the_first_has_played(tmp_path, monkeypatch):
    """A curve is a file; asked for again it is read, and the same seed gives the same curve when it is lost."""
    monkeypatch.setattr(labels_sets, "case", lambda _name: DIGITS)
    monkeypatch.setenv("LABELLOOP_DATA", str(tmp_path))
    arm = Arm(name="margin", strategy={"kind": "margin"}, model={"calibrate": False})
    first = labels_play.curve(tmp_path, "digits", arm, 0)
    (path,) = (tmp_path / "digits").glob("margin-*.json")
    assert first["labels"][-1] == 80
    path.write_text(json.dumps({**first, "scores": [0.0]}))
    assert labels_play.curve(tmp_path, "digits", arm, 0)["scores"] == [0.0]
    assert labels_play.cached(tmp_path, "digits", arm, 0)["scores"] == [0.0]
    path.unlink()
    assert labels_play.cached(tmp_path, "digits", arm, 0) is None
    again = labels_play.curve(tmp_path, "digits", arm, 0)
    assert list(again["scores"]) == list(first["scores"])


def test_the_price_of_randoms_score_is_read_where_the_default_went_on():
    """The longer arm gets as many labels as random; its row stands in the table of sets, under the default's name."""
    longer = labels_arms.arms()[labels_arms.LONGER]
    assert longer.played(DIGITS).budget == DIGITS.random
    assert labels_arms.arms()["default"].played(DIGITS).budget == DIGITS.budget
    case = labels_sets.Case(project=DIGITS.project, budget=20, random=40, first=10, batch=10)
    curves = {"default": [played(0.1, 0.2)], labels_arms.LONGER: [played(0.1, 0.2, 0.9, 1.0)]}
    _, _, line = labels_page._sets(labels_score.rows("x", case, curves, full=1.0, target=0.9))
    assert "| 30 |" in line
    assert "25 %" in line


@pytest.mark.parametrize("name", list(labels_peers.PEERS))
def test_a_peer_picks_rows_of_the_pool(name):
    """Each peer's own code answers with as many open rows as were asked for; those by margin with the closest races."""
    pytest.importorskip("skactiveml" if name.startswith("activeml") else "small_text")
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((60, 4))
    rare = 1 / (1 + np.exp(-3 * rows[:, 0]))
    evidence = Evidence(rows=60, probabilities=np.stack([1 - rare, rare], axis=1), features=rows, labeled=rows[:3] + 9)
    picked = checked_pick(labels_peers.Peer(name, labels_peers.PEERS[name]), evidence, 6, rng)
    if name in {"activeml_margin", "smalltext_breaking_ties"}:
        assert set(picked.tolist()) == set(np.argsort(np.abs(rows[:, 0]))[:6].tolist())
