"""What is said about differences: between strategies, between models, and over several data sets."""

import json

import numpy as np
import pytest

from labelloop.domain.errors import Invalid, InvalidProject
from labelloop.simulation import variants
from labelloop.simulation.compare import compare, reference
from labelloop.simulation.overall import behind, overall, saving
from labelloop.simulation.results import Curve, Simulation
from labelloop.simulation.run import Asked, of_source, run_all

LABELS = tuple(range(10, 101, 10))


def simulation(lifts, *, seeds=8, name="p"):
    """Curves that rise alike, lifted by so much per strategy, with noise that all arms of a seed share."""
    rng = np.random.default_rng(0)
    shared = rng.normal(0, 0.05, size=(seeds, 1))
    rise = 0.5 + 0.3 * np.linspace(0, 1, len(LABELS))
    curves = {}
    for arm, lift in lifts.items():
        own = rng.normal(0, 0.004, size=(seeds, len(LABELS)))
        scores = np.clip(rise + shared + own + lift, 0, 1)
        curves[arm] = [
            Curve(strategy=arm, seed=seed, labels=LABELS, scores=tuple(scores[seed].tolist()), asked=())
            for seed in range(seeds)
        ]
    return Simulation(project=name, score="accuracy", budget=100, full_data_score=0.85, curves=curves)


def found(simulated, measure, strategy, against=None):
    return next(one for one in compare(simulated, against) if (one.measure, one.strategy) == (measure, strategy))


def test_pairing_sees_what_intervals_of_each_do_not():
    """Seeds differ by more than the strategies do, and yet two points of gain are beyond doubt."""
    simulated = simulation({"good": 0.02, "same": 0.0, "random": 0.0})
    assert simulated.area("good").low < simulated.area("random").high  # overlap
    good, same = (found(simulated, "area", name) for name in ("good", "same"))
    assert good.better is True
    assert good.difference.low > 0.01 < good.bootstrap.low
    assert good.holm_sign_flip == pytest.approx(2 * good.sign_flip) == pytest.approx(4 / 2**8)
    assert same.better is None
    assert good.holm_t >= good.t


def test_fewer_labels_are_better_and_the_unreached_counts_as_the_budget():
    """A negative difference of labels is a gain; where nobody arrives nothing is compared."""
    simulated = simulation({"good": 0.1, "random": 0.0})
    price = found(simulated, "labels_to_0.9", "good")
    assert price.better is True
    assert price.difference.mean < -20
    never = simulation({"good": -0.4, "random": -0.4})
    assert {one.measure for one in compare(never)} == {"area", "score"}


def test_worse_is_said_as_plainly_and_the_reference_can_be_chosen():
    """Against another arm the same numbers change their sign."""
    simulated = simulation({"bad": -0.03, "random": 0.0})
    assert found(simulated, "area", "bad").better is False
    turned = found(simulated, "area", "random", against="bad")
    assert turned.better is True
    assert turned.difference.mean == pytest.approx(-found(simulated, "area", "bad").difference.mean)
    assert reference(simulation({"one": 0.0, "two": 0.0})) == "one"
    with pytest.raises(Invalid, match="bad, random"):
        compare(simulated, "worse")


def test_one_seed_proves_nothing():
    """No spread, no verdict."""
    assert all(one.better is None for one in compare(simulation({"good": 0.3, "random": 0.0}, seeds=1)))


def test_savings_and_losses_are_told_over_all_sets():
    """The median and the least saving, where it is ever behind, and how many sets agree."""
    sets = [
        simulation({"good": 0.1, "odd": 0.1, "random": 0.0}, name="a"),
        simulation({"good": 0.15, "odd": -0.1, "random": 0.0}, name="b"),
        simulation({"good": 0.2, "odd": 0.0, "random": 0.0}, name="c"),
    ]
    standings = overall(sets)
    assert list(standings) == ["good", "odd"]
    good, odd = standings["good"], standings["odd"]
    assert (good.better, good.worse, odd.worse) == (3, 0, 1)
    assert good.rank < odd.rank
    assert good.saving == pytest.approx(0.45, abs=0.05)
    assert good.least_saving == pytest.approx(0.3, abs=0.05)
    assert odd.least_saving == 0.0
    assert good.behind < 0.005
    assert odd.behind == pytest.approx(0.1, abs=0.01)
    json.dumps({name: one.to_json() for name, one in standings.items()})
    assert saving(sets[0], "random", "random") == 0.0
    assert behind(sets[0], "random", "random") == 0.0


MODELS = """
[forest]
kind = "sklearn"
estimator = "sklearn.ensemble.RandomForestClassifier"
parameters = {n_estimators = 20}
"""


@pytest.fixture
def models(tmp_path, project):
    path = tmp_path / "models.toml"
    path.write_text(MODELS)
    return variants.read([path], project)


def test_models_are_compared_as_strategies_are(project, models):
    """Each model has its own arms and its own full score; labels are counted to the best model's."""
    asked = Asked(strategies=["margin", "random"], seeds=2, budget=30, jobs=1, models=models)
    (simulated,) = run_all([of_source(project, None)], asked)
    assert list(simulated.curves) == ["own/margin", "own/random", "forest/margin", "forest/random"]
    assert simulated.full_data_score == max(simulated.models.values())
    assert simulated.models["own"] != simulated.models["forest"]
    assert simulated.curves["own/random"][0].asked == simulated.curves["forest/random"][0].asked
    assert reference(simulated) == "own/random"
    assert set(simulated.to_json()["models"]) == {"own", "forest"}


def test_a_committee_is_asked_where_there_is_one(project, models):
    """Alone it is refused at once; where models are compared, the model of one voice goes without."""
    with pytest.raises(InvalidProject, match=r"'bald' needs a committee.*--models"):
        run_all([of_source(project, None)], Asked(strategies=["bald", "random"], seeds=1, budget=20, jobs=1))
    asked = Asked(strategies=["bald", "random"], seeds=1, budget=20, jobs=1, models=models)
    (simulated,) = run_all([of_source(project, None)], asked)
    assert list(simulated.curves) == ["own/random", "forest/bald", "forest/random"]
    json.dumps({name: one.to_json() for name, one in overall([simulated] * 2).items()})


def test_model_files_are_sections_project_files_or_tables(tmp_path, project):
    """A file by its own name, or a table for each; mistakes are named."""
    one, whole, wrong = (tmp_path / f"{name}.toml" for name in ("bare", "whole", "wrong"))
    one.write_text('kind = "torch_mlp"\nmembers = 3\n')
    whole.write_text('name = "other"\n[model]\nkind = "sklearn"\n')
    assert list(variants.read([one, whole], project)) == ["bare", "whole"]
    wrong.write_text('[tree]\nkind = "sklaern"\n')
    with pytest.raises(InvalidProject, match=r"wrong.toml, tree.*sklaern"):
        variants.read([wrong], project)
    wrong.write_text("[own]\nkind = 'sklearn'\n")
    with pytest.raises(Invalid, match="'own' is taken"):
        variants.read([wrong], project)
    wrong.write_text("a = 3\n")
    with pytest.raises(Invalid, match="one table for each model"):
        variants.read([wrong], project)


def test_several_sets_in_one_call_are_what_each_is_alone(make, project):
    """In one pool of processes, in the order asked; a name twice is refused."""
    other = make(name="others", seed=7)
    asked = Asked(strategies=["margin", "random"], seeds=2, budget=30, jobs=2)
    together = run_all([of_source(project, None), of_source(other, None)], asked)
    assert [one.project for one in together] == ["points", "others"]
    assert together[1] == run_all([of_source(other, None)], asked)[0]
    with pytest.raises(Invalid, match="once"):
        run_all([of_source(project, None)] * 2, asked)
