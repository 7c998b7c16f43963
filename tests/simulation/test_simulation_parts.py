"""The parts of a simulation: arms, lanes, scores, results and their words."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from sklearn import metrics

from labelloop.domain.errors import InvalidProject
from labelloop.domain.states import Lane
from labelloop.measures import in_words, scorer
from labelloop.simulation.arms import arm, own_name
from labelloop.simulation.lanes import Turns
from labelloop.simulation.results import Curve, Simulation, first_at
from labelloop.simulation.table import price, table


def test_the_audit_lane_is_left_out_and_the_others_share_the_rest(project):
    """The test set measures here, so all labels are trained on."""
    assert arm(project, "margin", first=10, batch=10).lanes.shares() == pytest.approx(
        {Lane.INFORMATIVE: 8 / 9, Lane.MINORITY: 1 / 9}
    )


def test_random_is_random_from_the_first_label_and_has_no_minority_lane(project):
    """The yardstick gets no help from the project file."""
    played = arm(project, "random", first=10, batch=10)
    assert played.strategy.kind == "random"
    assert played.strategy.cold_start.kind == "random"
    assert played.lanes.shares() == {Lane.INFORMATIVE: 1.0}


def test_the_projects_own_strategy_keeps_its_section_and_another_its_cold_start(make):
    """What the project file says about its strategy is what gets simulated under its name."""
    section = {"kind": "margin", "diversity": "k_center", "cold_start": {"kind": "random"}}
    project = make(strategy=section)
    assert arm(project, "margin", first=5, batch=7).strategy == project.strategy
    other = arm(project, "entropy", first=5, batch=7)
    assert (other.strategy.kind, other.strategy.diversity) == ("entropy", "none")
    assert other.strategy.cold_start.kind == "random"
    assert (other.retrain.first, other.retrain.labels) == (5, 7)


def test_a_strategy_may_say_how_its_batches_are_spread(make):
    """Plain margin can be set beside a default that spreads its batches; a rule that there is not is answered so."""
    project = make(strategy={"kind": "margin", "diversity": "herding", "shortlist": 33, "near_duplicates": 0.9})
    plain = arm(project, "margin+none", first=5, batch=5).strategy
    assert (plain.diversity, plain.near_duplicates) == ("none", 0.9)
    other = arm(project, "entropy+k_means", first=5, batch=5).strategy
    assert (other.kind, other.diversity, other.shortlist) == ("entropy", "k_means", 33)
    with pytest.raises(InvalidProject, match=r"none.*herding"):
        arm(project, "margin+herdin", first=5, batch=5)
    with pytest.raises(InvalidProject, match="by lot"):
        arm(project, "random+herding", first=5, batch=5)


def test_a_modal_function_is_a_strategy_by_its_path(make):
    """Any query function of modAL can be an arm, and goes by its path when it is the project's own."""
    path = "modAL.uncertainty.entropy_sampling"
    assert arm(make(), path, first=5, batch=5).strategy.function == path
    assert own_name(make(strategy={"kind": "modal", "function": path})) == path


def test_an_unknown_strategy_is_answered_with_the_known_ones(project):
    """A typo costs a second, not a simulation."""
    with pytest.raises(InvalidProject, match=r"margn.*margin"):
        arm(project, "margn", first=5, batch=5)


@given(
    some.dictionaries(some.sampled_from(list(Lane)), some.lists(some.integers(0, 40), unique=True), min_size=1),
    some.integers(0, 60),
)
def test_handing_out_takes_what_there_is_once_and_in_order(lanes, count):
    """As many as asked for while any lane has some; no item twice; within a lane the planned order."""
    numbers = {lane: np.array(order, dtype=np.int64) for lane, order in lanes.items()}
    handed = Turns().hand_out(numbers, dict.fromkeys(lanes, 1 / len(lanes)), count)
    everything = {number for order in lanes.values() for number in order}
    assert len(handed) == len(set(handed)) == min(count, len(everything))
    if len(lanes) == 1:
        assert handed == next(iter(lanes.values()))[:count]


def test_lanes_are_served_by_their_shares_and_a_dry_one_gives_its_share_away():
    """Of twenty, four come from a lane with a fifth; when it is dry the other serves all."""
    shares = {Lane.INFORMATIVE: 0.8, Lane.MINORITY: 0.2}
    lanes = {Lane.INFORMATIVE: np.arange(100), Lane.MINORITY: np.arange(100, 106)}
    assert sum(number >= 100 for number in Turns().hand_out(lanes, shares, 20)) == 4
    assert sum(number >= 100 for number in Turns().hand_out(lanes, shares, 90)) == 6


def test_shares_that_change_with_every_batch_are_kept_over_all():
    """What a lane is owed goes on to the next batch, whatever its shares are by then."""
    turns, lanes, minority = Turns(), {Lane.INFORMATIVE: np.arange(500), Lane.MINORITY: np.arange(500, 999)}, 0
    for at in range(40):
        share = 0.8 if at % 2 else 0.9
        handed = turns.hand_out(lanes, {Lane.INFORMATIVE: 1 - share, Lane.MINORITY: share}, 3)
        minority += sum(number >= 500 for number in handed)
    assert minority == pytest.approx(0.85 * 120, abs=1)


def test_a_small_share_is_served_in_small_batches_too():
    """A tenth of batches of two is one item in five batches, not none for ever."""
    turns, shares = Turns(), {Lane.INFORMATIVE: 0.9, Lane.MINORITY: 0.1}
    lanes = {Lane.INFORMATIVE: np.arange(100), Lane.MINORITY: np.arange(100, 110)}
    assert sum(number >= 100 for _ in range(25) for number in turns.hand_out(lanes, shares, 2)) == 5


@pytest.mark.parametrize("name", ["accuracy", "macro_f1", "f1:few", "average_precision:few"])
def test_scores_are_scikit_learns(make, project, name):
    """The names in a project file mean what the field means by them."""
    rng = np.random.default_rng(3)
    codes = rng.integers(2, size=200)
    few = np.round(np.clip(0.5 * codes + rng.random(200) * 0.7, 0, 1), 2)
    probabilities = np.stack([1 - few, few], axis=1)
    guessed = probabilities.argmax(axis=1)
    expected = {
        "accuracy": metrics.accuracy_score(codes, guessed),
        "macro_f1": metrics.f1_score(codes, guessed, average="macro"),
        "f1:few": metrics.f1_score(codes, guessed),
        "average_precision:few": metrics.average_precision_score(codes, few),
    }[name]
    source = project.source.model_dump() | {"score": name}
    assert scorer(make(source=source))(probabilities, codes) == pytest.approx(expected)


@pytest.mark.parametrize(
    "name, said", [("f2:few", "average_precision:CLASS"), ("f1:none", "many, few"), ("f1", "many")]
)
def test_an_unknown_score_lists_what_is_known(make, project, name, said):
    """Scores and classes are both named in the answer."""
    with pytest.raises(InvalidProject, match=said):
        scorer(make(source=project.source.model_dump() | {"score": name}))


def test_scores_have_words_for_a_figure(project):
    """An axis says F1 of few, not f1:few."""
    assert in_words(project) == "F1 of few"


def curve(seed, scores):
    labels = tuple(range(10, 10 * len(scores) + 1, 10))
    return Curve(strategy="margin", seed=seed, labels=labels, scores=tuple(scores), asked=())


def test_prices_are_told_over_the_seeds_that_paid():
    """Two of three seeds reach 90 % of the full score, none 98 %; both is said in numbers and in words."""
    curves = [curve(0, [0.5, 0.9, 0.9]), curve(1, [0.5, 0.5, 0.95]), curve(2, [0.5, 0.5, 0.5])]
    simulation = Simulation(project="p", score="accuracy", budget=30, full_data_score=1.0, curves={"margin": curves})
    told = simulation.to_json()["strategies"]["margin"]["labels_to"]
    assert told["0.9"]["reached"] == pytest.approx(2 / 3)
    assert told["0.9"]["mean"] == pytest.approx((20 + 20 + 10 * 0.4 / 0.45) / 2)
    assert told["0.98"] == {"mean": None, "low": None, "high": None, "reached": 0.0}
    assert price(simulation, "margin", 0.98) == "not reached at 30"
    assert "in 2 of 3 seeds" in price(simulation, "margin", 0.9)
    assert first_at(curves[1], 0.9) == 30


def test_one_seed_has_a_price_without_interval():
    """One repeat says nothing about the spread, so no interval is shown."""
    simulation = Simulation(
        project="p", score="accuracy", budget=20, full_data_score=1.0, curves={"margin": [curve(0, [0.5, 1.0])]}
    )
    assert price(simulation, "margin", 0.95) == "19"


def test_a_strategy_that_beats_all_labels_says_that_the_model_is_held_back():
    """Parts of a full score that fewer labels go far beyond are no prices; the table says what to look at."""
    ends = {"margin": [curve(seed, [0.5, 0.8, 0.79]) for seed in (0, 1)], "random": [curve(0, [0.3, 0.4, 0.57])] * 2}
    simulation = Simulation(project="p", score="f1:a", budget=30, full_data_score=0.56, curves=ends)
    assert simulation.surpassed == ["margin"]
    assert "margin: better than the model on all labels" in table(simulation).caption
    even = Simulation(project="p", score="f1:a", budget=30, full_data_score=0.8, curves=ends)
    assert "better than" not in table(even).caption


def test_intervals_promise_nothing_impossible():
    """Two seeds far apart have a wide interval, and yet no score below 0 or above 1 and no negative price."""
    curves = [curve(0, [0.1, 0.2, 0.95]), curve(1, [0.96, 0.97, 0.98])]
    simulation = Simulation(project="p", score="accuracy", budget=30, full_data_score=1.0, curves={"margin": curves})
    assert all(0 <= score.low <= score.mean <= score.high <= 1 for _, score in simulation.points("margin"))
    assert simulation.labels_to("margin", 0.95).labels.low == 0
    assert 0 <= simulation.area("margin").low <= simulation.area("margin").high <= 1
