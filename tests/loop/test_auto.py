"""`strategy.kind = "auto"`: the arm of a round follows from the store and the seed."""

from itertools import pairwise

import pytest
from conftest_loop import label, run_jobs, start

from labelloop.domain.errors import InvalidProject
from labelloop.loop import auto
from labelloop.loop.tend import tend
from labelloop.projects import AutoStrategy, parse

ARMS = ("margin", "margin+herding", "random")
STRATEGY = {"kind": "auto", "arms": ARMS}


def cycle(ports, truth, *, count=25):
    """Answer, train, promote, plan the next round."""
    label(ports, truth, count=count)
    for _ in range(3):
        tend(ports, "plane")
        run_jobs(ports)
    return ports.rounds.serving("plane")


def test_a_round_says_which_arm_was_drawn_on_which_beliefs_and_what_the_last_came_to(ports):
    """After a few trainings every round names its arm, and the plays of the rounds before add up to its beliefs."""
    truth = start(ports, strategy=STRATEGY)
    served = [cycle(ports, truth) for _ in range(5)]
    told = [one.stats["auto"] for one in served if one.model is not None]
    assert len(told) >= 4
    assert all(facts["arm"] in ARMS and set(facts["beliefs"]) == set(ARMS) for facts in told)
    assert "settled" in told[0]
    assert told[0]["settled"] is None
    for before, after in pairwise(told):
        assert after["settled"]["arm"] == before["arm"]
        assert after["settled"]["answers"] > 0
        assert 0 < after["settled"]["reward"] <= 1
    assert sum(map(sum, told[-1]["beliefs"].values())) > 2 * len(ARMS)
    assert not any("fallback" in one.stats for one in served)


def test_the_choice_is_made_again_from_the_store(ports):
    """What a round chose follows from the rounds before it and its seed: asked again, the same arm comes out."""
    truth = start(ports, strategy=STRATEGY)
    for _ in range(4):
        last = cycle(ports, truth)
    rounds = sorted(ports.rounds.recent("plane", 100), key=lambda one: one.number)
    past = [auto.Played(**facts["settled"]) for one in rounds if (facts := one.stats.get("auto")) and facts["settled"]]
    again = auto.draw(AutoStrategy(arms=ARMS), past, last.seed)
    assert again.arm == last.stats["auto"]["arm"]
    assert {arm: list(belief) for arm, belief in again.beliefs.items()} == last.stats["auto"]["beliefs"]


def test_a_new_window_of_the_same_model_goes_on_with_its_arm(ports):
    """Planning again without a new model changes neither arm nor beliefs, and counts no answers twice."""
    truth = start(ports, strategy=STRATEGY)
    before = cycle(ports, truth)
    project = ports.projects.get("plane")
    for seed in range(8):
        asked, facts = auto.resolve(ports, project, champion=before.model, seed=seed)
        assert facts["auto"]["arm"] == before.stats["auto"]["arm"]
        assert facts["auto"]["settled"] is None
        assert asked.strategy.kind == before.stats["auto"]["arm"].partition("+")[0]


def test_plays_of_arms_that_the_file_no_longer_lists_are_left_out():
    """Taking an arm out of the file forgets what it brought and nothing else."""
    past = [auto.Played(arm="entropy", answers=9, reward=1.0), auto.Played(arm="margin", answers=9, reward=1.0)]
    beliefs = auto.draw(AutoStrategy(arms=("margin", "random")), past, 0).beliefs
    assert beliefs["random"] == (1.0, 1.0)
    assert beliefs["margin"][0] > 5


@pytest.mark.parametrize("arms", [["margin"], ["margin", "margin"], ["margin", "bald"], ["margin", "margin+luck"]])
def test_arms_that_make_no_sense_are_refused(arms):
    """One arm, an arm twice, a strategy that needs a committee, an unknown diversity: the file is refused."""
    with pytest.raises(InvalidProject, match="arms"):
        parse(
            {
                "name": "x",
                "labels": {"kind": "classes", "classes": ["a", "b"]},
                "features": {"kind": "columns"},
                "strategy": {"kind": "auto", "arms": arms},
            }
        )
