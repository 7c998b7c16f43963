"""Simulated annotators: how they err, for what they take an item, and what their time is worth."""

import numpy as np
import pytest

from labelloop.adapters.estimators import EstimatorKinds
from labelloop.domain.errors import Invalid
from labelloop.simulation import oracles
from labelloop.simulation.oracles import Oracles
from labelloop.simulation.replay import Terms, replay

CLASSES = ("many", "few", "odd")
TRUTH = np.repeat([0, 1, 2], 20_000)


def answered(**habits):
    return oracles.answers(Oracles(**habits), CLASSES, TRUTH, np.random.default_rng(1))


def test_without_habits_everybody_is_right_and_has_no_clock():
    """The default is the truth."""
    found = answered()
    np.testing.assert_array_equal(found.codes, TRUTH)
    assert found.seconds is None


def test_noise_is_spread_over_the_other_classes_evenly():
    """Three in ten are wrong, half of those each way."""
    found = answered(noise=0.3)
    shares = np.bincount(found.codes[TRUTH == 1], minlength=3) / 20_000
    assert shares == pytest.approx([0.15, 0.7, 0.15], abs=0.015)


def test_each_class_errs_at_its_own_rate_and_a_confusion_says_for_what():
    """`*` stands for the classes that are not named; a class with a confusion errs by that alone."""
    found = answered(noise={"few": 0.5, "*": 0.0}, confusion={"odd": {"many": 0.25}})
    assert (found.codes[TRUTH == 0] == 0).all()
    assert (found.codes[TRUTH == 1] == 1).mean() == pytest.approx(0.5, abs=0.02)
    assert np.bincount(found.codes[TRUTH == 2], minlength=3) / 20_000 == pytest.approx([0.25, 0, 0.75], abs=0.015)


def test_time_has_the_mean_of_its_class_whatever_its_spread():
    """People vary; the mean stays what was asked for."""
    exact, varied = answered(seconds={"few": 8.0, "*": 2.0}), answered(seconds={"few": 8.0, "*": 2.0}, spread=0.5)
    assert exact.seconds[TRUTH == 1].tolist() == [8.0] * 20_000
    assert varied.seconds[TRUTH == 1].mean() == pytest.approx(8.0, rel=0.03)
    assert varied.seconds[TRUTH == 0].std() > 0.5


@pytest.mark.parametrize(
    "habits, said",
    [
        ({"noise": {"fev": 0.1}}, "no class 'fev'"),
        ({"confusion": {"few": {"many": 0.8, "odd": 0.4}}}, "sum to 1.2"),
        ({"confusion": {"few": {"much": 0.8}}}, "confusion.few: there is no class 'much'"),
        ({"seconds": {"few": 3.0}}, "many, odd"),
    ],
)
def test_habits_that_fit_no_class_are_refused_by_name(habits, said):
    """A typo is told before anything is simulated."""
    with pytest.raises(Invalid, match=said):
        oracles.check(Oracles(**habits), CLASSES)


def test_options_are_read_as_typed():
    """One number, or class by class."""
    assert oracles.by_class("0.1", "--noise") == 0.1
    assert oracles.by_class("spam=0.3, *=0.05", "--noise") == {"spam": 0.3, "*": 0.05}
    assert oracles.by_class("a=b=0.3,0.1", "--noise") == {"a=b": 0.3, "*": 0.1}
    with pytest.raises(Invalid, match=r"--noise 'much'"):
        oracles.by_class("much", "--noise")
    with pytest.raises(Invalid, match=r"noise is 1.5"):
        oracles.made(noise=1.5, seconds=None)


def test_a_file_of_annotators_is_read_and_its_mistakes_are_named(tmp_path):
    """TOML in; an unknown key is answered with the known ones."""
    file = tmp_path / "people.toml"
    file.write_text("spread = 0.4\nhourly = 25\n[noise]\nfew = 0.2\n[seconds]\n'*' = 3\n[confusion.odd]\nmany = 0.1\n")
    assert oracles.read(file).confusion == {"odd": {"many": 0.1}}
    file.write_text("noice = 0.1")
    with pytest.raises(Invalid, match=r"noice.*noise, confusion, seconds"):
        oracles.read(file)
    file.write_text("noise = [")
    with pytest.raises(Invalid, match="not valid TOML"):
        oracles.read(file)
    with pytest.raises(Invalid, match="cannot be read"):
        oracles.read(tmp_path / "none.toml")


def test_an_item_gets_the_same_wrong_answer_from_every_strategy(project, data):
    """Two arms of a seed are compared without the luck of their annotators; their clocks run for the asked items."""
    people = Oracles(noise=0.3, seconds={"few": 9.0, "many": 1.0})
    terms = Terms(budget=len(data.codes), batch=200, first=200, oracles=people)
    one, other = (
        replay(project, data, name, seed=3, terms=terms, estimators=EstimatorKinds()) for name in ("margin", "random")
    )
    assert one.asked != other.asked
    assert one.scores[-1] == pytest.approx(other.scores[-1], abs=0.02)
    assert one.seconds[-1] == pytest.approx(other.seconds[-1]) == pytest.approx((1 + 8 * data.codes).sum())
    assert list(one.seconds) == sorted(one.seconds)
