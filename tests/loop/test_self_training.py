"""A training learns from items without a label, of nothing that it must not see, and says what it did."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
from conftest_loop import Watched, blobs, create, run_jobs, start, trained
from scipy.sparse import csr_array

from labelloop import projects
from labelloop.adapters.estimators import EstimatorKinds
from labelloop.loop import fitting
from labelloop.loop import train as training
from labelloop.loop.ingest import ingest
from labelloop.loop.pool import GUESSED, guessed_about, look, unlabeled
from labelloop.loop.request import request_training
from labelloop.maths import calibration
from labelloop.simulation.data import Data
from labelloop.simulation.replay import Terms, replay

TOPICS, WORDS = 4, 400
LEARNS = {"kind": "sklearn", "self_training": {"per_label": 4}}


def topics(count, *, seed):
    """Texts as rows of ten words each, of length one; each topic has words that it uses more than the others do."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, TOPICS, count)
    likes = rng.gamma(0.3, size=(TOPICS, WORDS)) + 0.05
    words = np.array([rng.choice(WORDS, 10, p=likes[code] / likes[code].sum()) for code in codes])
    rows = np.zeros((count, WORDS), dtype=np.float32)
    np.add.at(rows, (np.arange(count)[:, None], words), 1)
    return csr_array(rows / np.linalg.norm(rows, axis=1, keepdims=True)), codes


def project(*, per_label=5, calibrate=False, **changes):
    """Four topics of text, told apart by logistic regression."""
    classes = [f"c{at}" for at in range(TOPICS)]
    raw = {"name": "topics", "labels": {"kind": "classes", "classes": classes}, "features": {"kind": "text"}}
    model = {"kind": "sklearn", "calibrate": calibrate, "self_training": {"per_label": per_label}}
    return projects.parse(raw | {"model": model} | changes)


def test_few_labels_tell_more_with_items_that_have_none():
    """On texts of four topics, forty labels and the rest of the pool say more than forty labels, and never less."""
    gains = []
    for seed in range(5):
        rows, codes = topics(1_200, seed=seed)
        labeled, rest, held_out = np.split(np.arange(1_200), [40, 800])
        alone, taught = (
            fitting.fit(EstimatorKinds(), one, rows[labeled], codes[labeled], seed=0, unlabeled=rows[rest])
            for one in (project(per_label=0), project())
        )
        right = [
            (model.probabilities(rows[held_out]).argmax(axis=1) == codes[held_out]).mean() for model in (alone, taught)
        ]
        gains.append(right[1] - right[0])
    assert min(gains) >= 0
    assert np.mean(gains) > 0.02


def test_a_model_of_the_service_says_what_it_guessed(ports):
    """Provenance counts guesses by class, while training set, labels and class counts are of labels alone."""
    truth = start(ports, model=LEARNS)
    model = trained(ports, truth)
    told = model.provenance["self_training"]
    assert sum(told["guesses"].values()) > model.labels
    assert set(told["guesses"]) == {"c0", "c1", "c2"}
    assert told["looked_at"] > 0
    assert len(ports.models.training_set("plane", model.training_set).items) == model.labels
    assert sum(model.provenance["class_counts"].values()) == model.labels
    assert len(list(ports.verdicts.export("plane"))) == 60


def test_a_model_of_labels_alone_says_so(ports):
    """Where nothing is guessed there is nothing to tell, and no item is looked at."""
    truth = start(ports)
    assert trained(ports, truth).provenance["self_training"] is None
    assert not len(unlabeled(ports, ports.projects.get("plane"), ports.projects.row("plane")))


def test_the_audit_is_guessed_about_by_nobody(ports):
    """Neither items of its reserve nor any with a label are among those that a training may look at."""
    truth = start(ports, model=LEARNS)
    trained(ports, truth)
    row, one = ports.projects.row("plane"), ports.projects.get("plane")
    ingest(ports, "plane", blobs(260, seed=3)[0][200:])  # comes in while a training runs
    looked = set(unlabeled(ports, one, row).tolist())
    view = look(ports, one, items=row.items)
    assert looked == set(view.waiting.tolist())
    assert not looked & {*view.reserve.tolist(), *view.labeled.tolist()}
    assert len(view.reserve)
    assert max(looked) < row.items


def test_nothing_is_guessed_before_the_audit_is_drawn(ports):
    """Labels that come along start a training and a round at once; the training may be first, and guesses nothing."""
    create(ports, model=LEARNS)
    items, truth = blobs(200)
    labeled = [replace(item, label=truth[item.key]) for item in items[:60]]
    ingest(ports, "plane", labeled + items[60:])
    assert ports.projects.row("plane").audit_threshold is None
    request_training(ports, "plane")
    run_jobs(ports)
    first = ports.models.all("plane")[-1].provenance["self_training"]
    assert (first["looked_at"], first["guesses"]) == (0, {"c0": 0, "c1": 0, "c2": 0})


def test_made_up_rows_keep_their_part():
    """Guesses have the mix that the first fit had, so that rows of rare classes which were made up are not undone."""
    rows, codes = topics(1_200, seed=4)
    rare = np.flatnonzero(codes[:300] == 3)[12:]
    labeled = np.setdiff1d(np.arange(300), rare)
    one = project(synthetic={"kind": "random_over", "target": 0.5})
    estimators = Watched()
    fitting.fit(estimators, one, rows[labeled], codes[labeled], seed=0, unlabeled=rows[300:])
    first, second = (np.bincount(theirs, minlength=TOPICS) for _, theirs in estimators.fitted[:2])
    assert first[3] > 30
    np.testing.assert_allclose(second / second.sum(), first / first.sum(), atol=0.01)


def test_guesses_are_codes_of_the_project():
    """A model that knows but some classes guesses these, by the project's numbers and not by its own columns."""
    rows, codes = topics(900, seed=5)
    names = [f"c{at}" for at in range(7)]
    one = project(labels={"kind": "classes", "classes": names})
    codes = np.array([1, 3, 4, 6])[codes]
    estimators = Watched()
    model = fitting.fit(estimators, one, rows[:120], codes[:120], seed=0, unlabeled=rows[120:])
    assert np.flatnonzero(model.guesses).tolist() == [1, 3, 4, 6]
    taught = estimators.fitted[1][1][120:]
    np.testing.assert_array_equal(np.bincount(taught, minlength=7), model.guesses)
    assert (model.probabilities(rows[120:]).argmax(axis=1) == codes[120:]).mean() > 0.6


def test_a_model_that_says_nonsense_teaches_nothing():
    """Probabilities that are no numbers end the training with the first fit, which is then found degenerate."""

    class Broken(Watched):
        def fit(self, *arguments, **options):
            model = super().fit(*arguments, **options)
            return SimpleNamespace(
                classes=model.classes, probabilities=lambda rows: np.full_like(model.probabilities(rows), np.nan)
            )

    rows, codes = topics(400, seed=6)
    estimators = Broken()
    fitting.fit(estimators, project(), rows[:60], codes[:60], seed=0, unlabeled=rows[60:])
    assert len(estimators.fitted) == 1


def test_a_training_is_told_by_its_settings(ports):
    """Two trainings on the same labels that guess differently have different digests."""
    start(ports)
    one = ports.projects.get("plane")
    real, none = (np.array([1]), np.array([0])), (np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))
    models = [{"kind": "sklearn"}, LEARNS, {"kind": "sklearn", "self_training": {"per_label": 6}}]
    digests = {
        training._training_set(one.model_copy(update={"model": projects.parse(
            {**one.model_dump(mode="json"), "model": model}).model}), real, none).digest
        for model in models
    }  # fmt: skip
    assert len(digests) == 3


def test_a_large_pool_is_looked_at_in_part():
    """Twenty thousand by lot, the same each time, ascending; what arrives later changes few of them."""
    numbers = np.arange(100_000) * 3
    some = guessed_about(project(), numbers)
    assert len(some) == GUESSED
    assert (np.diff(some) > 0).all()
    assert set(some.tolist()) <= set(numbers.tolist())
    np.testing.assert_array_equal(some, guessed_about(project(), numbers))
    assert abs(some.mean() - numbers.mean()) < 3_000
    later = guessed_about(project(), np.arange(101_000) * 3)
    assert len(set(some.tolist()) & set(later.tolist())) > 0.97 * GUESSED


def test_the_calibration_sees_labels_that_nobody_guessed_from(monkeypatch):
    """Each fold makes its own guesses, with a model that does not know the rows held out; only labels are predicted."""
    rows, codes = topics(800, seed=1)
    seen = []
    monkeypatch.setattr(calibration, "fit_temperature", lambda _, truth: seen.append(truth) or 1.0)
    estimators = Watched()
    model = fitting.fit(estimators, project(calibrate=True), rows[:120], codes[:120], seed=0, unlabeled=rows[120:])
    sizes = [len(theirs) for _, theirs in estimators.fitted]
    assert sizes[0] == 120
    assert sizes[1] == 120 + sum(model.guesses)
    assert sizes[2::2] == [80] * fitting.FOLDS
    part = sum(model.guesses) / 120
    assert all(abs(size - 80 - 80 * part) <= 8 for size in sizes[3::2])  # as many for each label as the model had
    np.testing.assert_array_equal(np.bincount(seen[0]), np.bincount(codes[:120]))


def test_a_simulation_learns_as_the_service_does():
    """A replay guesses about what it has not asked, the same with the same seed, and is better for it at the end."""
    rows, codes = topics(1_200, seed=2)
    data = Data(features=rows[:800], codes=codes[:800], test_features=rows[800:], test_codes=codes[800:])
    terms = Terms(budget=80, batch=20, first=40)
    alone, taught, again = (
        replay(one, data, "margin", seed=0, terms=terms, estimators=EstimatorKinds())
        for one in (project(per_label=0), project(), project())
    )
    assert taught.scores == again.scores
    assert taught.scores[0] > alone.scores[0]
