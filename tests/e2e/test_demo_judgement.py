"""What the demo says of a run: it must be able to say no."""

from typing import Any

import pytest

from labelloop.demo.checks import check
from labelloop.demo.comparison import compare
from labelloop.demo.evidence import Point, look_at_answers
from labelloop.demo.options import Options, project_of
from labelloop.demo.watch import Snapshot
from labelloop.simulation.results import Curve, Simulation


def _end(**changes: Any) -> Snapshot:
    """A run in which everything held, with some facts exchanged."""
    models = [
        {
            "number": n,
            "state": "champion" if n == 4 else "retired",
            "reason": "not worse",
            "labels": 20 * n,
            "metrics": {},
        }
        for n in range(1, 5)
    ]
    counts = {"ingested": 100, "pooled": 10, "queued": 50, "leased": 0, "resolved": 40, "disputed": 0, "retired": 0}
    facts: dict[str, Any] = {
        "counts": counts,
        "spent": 40,
        "models": models,
        "jobs": [{"job": f"train-p-{n}", "state": "done"} for n in range(4)],
        "ranked_by": 4,
        "accepted": 40,
    } | changes
    status = {
        "budget": {"votes": 40, "spent": facts["spent"]},
        "items": {"counts": facts["counts"]},
        "trainings": facts["jobs"],
        "champion": {"number": 4},
        "rounds": [{"number": 9, "model": facts["ranked_by"]}],
    }
    return Snapshot(
        status=status,
        models=facts["models"],
        annotators=[{"annotator": "anna", "accepted": facts["accepted"], "late": 0}],
    )


def test_a_good_run_holds() -> None:
    """All checks hold for a run in which all is well."""
    assert all(one.held for one in check(_end(), in_time=True))


@pytest.mark.parametrize(
    "changes",
    [
        {"spent": 39},
        {"spent": 41},
        {"accepted": 39},
        {"ranked_by": 3},
        {"models": []},
        {"jobs": [{"job": "train-p-1", "state": "failed"}]},
        {"jobs": [{"job": "train-p-1", "state": "running"}]},
        {
            "counts": {
                "ingested": 100,
                "pooled": 10,
                "queued": 49,
                "leased": 0,
                "resolved": 40,
                "disputed": 0,
                "retired": 0,
            }
        },
    ],
)
def test_each_thing_that_went_wrong_is_found(changes: dict[str, Any]) -> None:
    """A budget missed, a vote or an item lost, a training that failed, a queue by an old model: each fails a check."""
    assert not all(one.held for one in check(_end(**changes), in_time=True))


def test_a_run_that_was_cut_off_does_not_hold() -> None:
    """The time limit is no way to end."""
    assert not all(one.held for one in check(_end(), in_time=False))


def _simulation(random: float, strategy: float) -> Simulation:
    def curves(name: str, last: float) -> list[Curve]:
        return [
            Curve(strategy=name, seed=seed, labels=(20, 100), scores=(0.5 + seed / 100, last + seed / 100), asked=())
            for seed in range(3)
        ]

    return Simulation(
        project="p",
        score="accuracy",
        budget=100,
        full_data_score=0.95,
        curves={"random": curves("random", random), "margin": curves("margin", strategy)},
    )


def _points(score: float) -> list[Point]:
    return [
        Point(model=n, labels=labels, state="champion", test=test, test_low=None, test_high=None, audit=None)
        for n, labels, test in ((1, 20, 0.5), (2, 100, score))
    ]


@pytest.mark.parametrize("score, word, beats", [(0.94, "Yes", True), (0.81, "No clear", False), (0.6, "No, ", False)])
def test_the_verdict_says_plainly_who_won(score: float, word: str, beats: bool) -> None:
    """Above random's interval: yes. Inside: no clear difference. Below: worse."""
    found = compare(_points(score), _simulation(0.8, 0.9), "margin")
    assert found.verdict.startswith(word)
    assert found.beats is beats


def test_labels_to_a_score_are_none_where_it_was_not_reached() -> None:
    """A score that an arm never reached has no price."""
    found = compare(_points(0.94), _simulation(0.8, 0.9), "margin")
    assert found.targets[-1].random is None
    live = found.targets[0].live
    assert live is not None
    assert 20 < live < 100


def test_answers_are_judged_by_the_truth() -> None:
    """Class balance counts true classes; a false label that is trained on is noise; the audit is not."""
    project = project_of(Options(project="digits"))
    served = {"lane": "informative", "planned_rank": 3, "served_rank": 5}

    def row(key: str, label: str, lane: str) -> dict[str, Any]:
        vote = {"counted": True, "annotator": "anna", "label": label, "served": served | {"lane": lane}}
        return {"key": key, "label": label, "annotations": [vote, vote | {"counted": False}]}

    rows = [row("a", "1", "informative"), row("b", "7", "minority"), row("c", "7", "audit")]
    found = look_at_answers(project, rows, {"a": "1", "b": "2", "c": "3", "d": "4"})
    assert (found.trained, found.wrong, found.noise) == (2, 1, 0.5)
    assert (found.by_strategy["2"], found.audit["3"], found.pool["4"]) == (1, 1, 1)
    assert found.right == {"anna": 1}
    assert found.served_in_order == 2.0
