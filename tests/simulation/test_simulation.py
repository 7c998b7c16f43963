"""What a simulation promises: the same for the same seeds, within the budget, and blind to the test set."""

import dataclasses
import json

import numpy as np
import pytest

from labelloop.adapters.estimators import EstimatorKinds
from labelloop.domain.errors import Invalid, InvalidProject
from labelloop.simulation.replay import Terms, replay
from labelloop.simulation.run import run

TERMS = Terms(budget=60, batch=10, first=10)


def play(project, data, strategy="margin", *, seed=0, terms=TERMS, **options):
    return replay(project, data, strategy, seed=seed, terms=terms, estimators=EstimatorKinds(), **options)


@pytest.fixture(scope="module")
def simulation(project):
    return run(project, strategies=["margin", "random"], seeds=4, budget=60, jobs=1)


def test_json_has_exactly_the_promised_shape(simulation):
    """Scripts read these keys and no others; numbers are numbers, and what was not reached is null."""
    told = json.loads(json.dumps(simulation.to_json()))
    assert set(told) == {"project", "score", "budget", "seeds", "full_data_score", "strategies"}
    assert told["project"] == "points"
    assert list(told["strategies"]) == ["margin", "random"]
    for measured in told["strategies"].values():
        assert set(measured) == {"curve", "area", "labels_to"}
        assert [point[0] for point in measured["curve"]] == [10, 20, 30, 40, 50, 60]
        assert all(low <= mean <= high for _, mean, low, high in measured["curve"])
        assert set(measured["area"]) == {"mean", "low", "high"}
        assert set(measured["labels_to"]) == {"0.9", "0.95", "0.98"}
        for price in measured["labels_to"].values():
            assert set(price) == {"mean", "low", "high", "reached"}
            assert (price["mean"] is None) == (price["reached"] == 0)


def test_margin_beats_random_where_one_class_is_rare(simulation):
    """On an easy imbalanced set, asking where the model wavers pays on every seed but perhaps one."""
    margin, random = (simulation.curves[name] for name in ("margin", "random"))
    wins = sum(np.mean(ours.scores) > np.mean(theirs.scores) for ours, theirs in zip(margin, random, strict=True))
    assert wins >= 3
    assert simulation.area("margin").mean > simulation.area("random").mean


def test_full_data_score_is_a_ceiling_worth_naming(simulation):
    """The model of the whole pool beats random sampling's last one."""
    assert simulation.full_data_score >= simulation.points("random")[-1][1].mean


def test_processes_change_nothing(project, simulation):
    """Two spawned processes give the very curves that one process gives."""
    parallel = run(project, strategies=["margin", "random"], seeds=4, budget=60, jobs=2)
    assert parallel.to_json() == simulation.to_json()
    assert parallel.curves["margin"][1].asked == simulation.curves["margin"][1].asked


def test_progress_is_told_to_the_end(project):
    """Whoever watches hears of every replay, and at last that all is done."""
    heard = []
    run(
        project,
        strategies=["random"],
        seeds=2,
        budget=20,
        jobs=1,
        progress=lambda part, what: heard.append((part, what)),
    )
    assert [part for part, _ in heard] == pytest.approx([0.0, 1 / 3, 2 / 3, 1.0])
    assert "random, seed 1" in heard[-1][1]


def test_a_seed_gives_its_curve_again_and_another_seed_another(project, data):
    """Everything that is drawn comes from the seed."""
    assert play(project, data) == play(project, data)
    assert play(project, data).asked != play(project, data, seed=1).asked


def test_the_budget_is_kept_to_the_item(project, data):
    """No item is asked twice, the last batch is cut to fit, and every batch is trained on."""
    curve = play(project, data, terms=Terms(budget=47, batch=20, first=7))
    assert curve.labels == (7, 27, 47)
    assert len(curve.asked) == len(set(curve.asked)) == 47


def test_a_budget_beyond_the_pool_ends_with_the_pool(project, data):
    """When everything is labeled there is nothing left to ask."""
    curve = play(project, data, "random", terms=Terms(budget=10_000, batch=150, first=100))
    assert curve.labels[-1] == len(data.codes)
    assert sorted(curve.asked) == list(range(len(data.codes)))


def test_labels_of_the_test_set_are_seen_by_the_score_alone(project, data):
    """With the truth of the test set turned round, the same items are asked and only the scores change."""
    turned = dataclasses.replace(data, test_codes=1 - data.test_codes)
    honest, other = play(project, data), play(project, turned)
    assert honest.asked == other.asked
    assert honest.scores != other.scores


def test_labels_of_the_pool_are_seen_only_when_asked(project, data):
    """Other labels on items that were never asked change nothing, the score included."""
    honest = play(project, data)
    codes = 1 - data.codes
    codes[list(honest.asked)] = data.codes[list(honest.asked)]
    assert play(project, dataclasses.replace(data, codes=codes)) == honest


def test_named_sets_are_scored_and_never_asked(project, data):
    """The demo scores random sampling on its audit items, which nobody may train on."""
    audit = np.arange(0, len(data.codes), 3)
    curve = play(project, data, "random", also={"audit": audit, "nothing": audit[:0]})
    assert not set(curve.asked) & set(audit.tolist())
    assert len(curve.also["audit"]) == len(curve.labels)
    assert all(0 <= score <= 1 for score in curve.also["audit"])
    assert all(np.isnan(score) for score in curve.also["nothing"])


def test_noise_costs_score(project, data):
    """Annotators who are wrong two times in five teach a worse model than exact ones."""
    exact, noisy = (
        play(project, data, "random", terms=Terms(budget=200, batch=50, first=50, noise=noise)) for noise in (0.0, 0.4)
    )
    assert np.mean(noisy.scores) < np.mean(exact.scores)


def test_one_class_in_the_first_batch_is_no_end(project, data):
    """Where no model can come of the answers yet, the next batch is a cold one, and the curve has its point."""
    curves = (play(project, data, "random", seed=seed, terms=Terms(budget=40, batch=2, first=2)) for seed in range(9))
    curve = next(curve for curve in curves if not data.codes[list(curve.asked[:2])].any())
    assert curve.scores[0] == 0.0
    assert curve.labels[:3] == (2, 4, 6)
    assert curve.scores[-1] > 0


def test_data_come_back_from_files_as_they_were(project, data, tmp_path):
    """Other processes read what this one computed."""
    data.save(tmp_path)
    again = type(data).load(tmp_path)
    np.testing.assert_array_equal(again.features, data.features)
    np.testing.assert_array_equal(again.test_codes, data.test_codes)


@pytest.mark.parametrize(
    "terms, said",
    [
        ({"strategies": []}, "at least one strategy"),
        ({"seeds": 0}, "seeds is 0"),
        ({"budget": 1}, "budget is 1"),
        ({"batch": 0}, "batch is 0"),
        ({"first": 1}, "first is 1"),
        ({"noise": 1.5}, "noise is 1.5"),
    ],
)
def test_terms_that_make_no_sense_are_refused_by_name(project, terms, said):
    """Nothing long begins before the terms are checked."""
    with pytest.raises(Invalid, match=said):
        run(project, **({"strategies": ["random"], "seeds": 1, "budget": 20, "jobs": 1} | terms))


def test_a_source_without_test_set_says_what_to_add(make, table):
    """There is nothing to score on, and the remedy is one key."""
    bare = make(source={"data": {"kind": "table", "path": str(table)}})
    with pytest.raises(InvalidProject, match="holdout"):
        run(bare, strategies=["random"], seeds=1, budget=20, jobs=1)


def test_a_project_without_source_is_refused(make):
    """Only a labeled set can be replayed."""
    with pytest.raises(InvalidProject, match="source"):
        run(make(source=None), strategies=["random"], seeds=1, budget=20, jobs=1)
