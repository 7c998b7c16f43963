"""What is made up is trained on and nothing else: made of the features, or ingested with its mark."""

import csv
import io
from collections import Counter

import numpy as np
import pytest
from conftest_loop import Watched, blobs, create, run_jobs, start, trained, who

from labelloop import projects
from labelloop.adapters.estimators.kinds import EstimatorKinds
from labelloop.api import tables
from labelloop.domain.states import ItemState, Lane, ModelState
from labelloop.domain.types import ItemNumber
from labelloop.loop import fitting
from labelloop.loop import train as training
from labelloop.loop.ingest import check, ingest, read
from labelloop.loop.lease import lease
from labelloop.loop.plan import plan
from labelloop.loop.pool import audit_labels, look, synthetic_labels, training_labels
from labelloop.loop.request import request_training
from labelloop.loop.tend import tend
from labelloop.maths import calibration

SYNTHETIC = {"kind": "smote", "target": 0.8}


def made_up(count=40, seed=5):
    """Items of the wire that say they are synthetic."""
    items, truth = blobs(count, seed=seed)
    return [
        read({"key": f"s-{item.key}", "data": dict(item.data), "label": truth[item.key], "synthetic": True}, at + 1)
        for at, item in enumerate(items)
    ]


def with_made_up(ports, **changes):
    """A project of 200 items, planned, with 40 synthetic ones beside. Returns the truth and the synthetic numbers."""
    truth = start(ports, **changes)
    report = ingest(ports, "plane", made_up())
    assert report.added == 40
    return truth, set(ports.pool.synthetic("plane")[0].tolist())


def test_synthetic_items_are_never_asked(ports):
    """They wait in no lane, before and with a model; all that is served is real, until nothing is left."""
    truth, numbers = with_made_up(ports)
    assert len(numbers) == 40
    trained(ports, truth, rounds=3)
    plan(ports, "plane", lambda *_: None)
    view = look(ports, ports.projects.get("plane"), items=ports.projects.row("plane").items)
    assert not numbers & {*view.waiting.tolist(), *view.reserve.tolist(), *view.labeled.tolist()}
    planned = ports.rounds.queries("plane", ports.rounds.serving("plane").number)
    assert {query.lane for query in planned} >= {Lane.INFORMATIVE, Lane.AUDIT}
    assert not numbers & {query.item for query in planned}
    served = lease(ports, "plane", who("bert"), 200).leases
    assert served
    assert not numbers & {one.item for one in served}
    assert not any(one.key.startswith("s-") for one in served)


def test_synthetic_items_do_not_hide_a_shortage(ports):
    """The classes that the minority lane is short of are counted over real labels."""
    truth, _ = with_made_up(ports)
    model = trained(ports, truth, rounds=3)
    view = look(ports, ports.projects.get("plane"), items=240)
    real = training_labels(ports, ports.projects.get("plane"), ports.projects.row("plane").audit_threshold, items=240)[
        1
    ]
    np.testing.assert_array_equal(view.class_counts, np.bincount(real, minlength=3))
    assert sum(model.provenance["class_counts"].values()) == model.labels


def test_synthetic_items_are_trained_on_and_shown_in_set_and_provenance(ports):
    """They are in the training set, behind the labels, with other digest; the model says how many of each class."""
    truth, numbers = with_made_up(ports)
    model = trained(ports, truth, rounds=3)
    stored = ports.models.training_set("plane", model.training_set)
    assert numbers <= set(stored.items)
    assert set(stored.items[-40:]) == numbers
    assert len(stored.items) == model.labels + 40
    expected = Counter(one.label for one in made_up())
    assert model.provenance["synthetic"] == {"items": dict(expected), "rows": None}
    project = ports.projects.get("plane")
    real, given = (
        training_labels(ports, project, ports.projects.row("plane").audit_threshold, items=240),
        synthetic_labels(ports, project, items=240),
    )
    nothing = (given[0][:0], given[1][:0])
    mixed = tuple(np.concatenate(parts) for parts in zip(real, given, strict=True))
    digests = {
        training._training_set(project, real, given).digest,
        training._training_set(project, real, nothing).digest,
        training._training_set(project, mixed, nothing).digest,
    }
    assert len(digests) == 3


def test_a_model_can_start_from_synthetic_items_alone(ports):
    """With not one label a training on made-up items gives a model, which has nothing to be measured by."""
    with_made_up(ports)
    request_training(ports, "plane")
    run_jobs(ports)
    model = ports.models.all("plane")[-1]
    assert (model.labels, model.metrics, model.state) == (0, {}, ModelState.CHAMPION)


def test_the_audit_and_its_measure_know_nothing_synthetic(ports):
    """The audit holds real items only, and wrong synthetic items change the model but not what it is measured on."""
    truth, numbers = with_made_up(ports, lanes={"informative": 0.5, "audit": 0.5, "window": 100})
    model = trained(ports, truth, rounds=3)
    audited, _ = audit_labels(ports, ports.projects.get("plane"), ports.projects.row("plane").audit_threshold)
    assert len(audited) >= 10
    assert not numbers & set(audited.tolist())
    assert model.metrics["audit_items"] == len(audited)


def test_an_export_marks_what_is_synthetic(ports):
    """Every synthetic row says so in its source and its metadata, in JSON and in CSV; no other row does."""
    truth, numbers = with_made_up(ports)
    trained(ports, truth, rounds=3)
    rows = list(ports.verdicts.export("plane"))
    assert {row["item"] for row in rows if row["source"] == "synthetic"} == numbers
    assert {row["item"] for row in rows if row["metadata"].get("synthetic") is True} == numbers
    assert len(rows) > len(numbers)
    text = b"".join(tables.as_csv(iter(rows))).decode()
    assert sum(row["source"] == "synthetic" for row in csv.DictReader(io.StringIO(text))) == 40


def test_a_real_item_is_no_copy_of_a_synthetic_one(ports):
    """The same data, made up first and real later: the real one waits to be asked."""
    create(ports)
    ingest(ports, "plane", made_up(3))
    real = [read({"key": "r", "data": dict(made_up(3)[0].data)}, 1)]
    assert ingest(ports, "plane", real).added == 1
    assert ports.pool.find("plane", "r").state is ItemState.POOLED
    again = read({"key": "t", "data": dict(made_up(3)[0].data), "label": "c0", "synthetic": True}, 1)
    assert ingest(ports, "plane", [again]).duplicates == 1
    assert ports.pool.counts("plane").conserved


def test_features_are_fitted_on_what_is_real(ports):
    """Made-up items far away move neither mean nor scale of the features."""
    create(ports)
    far = read({"key": "far", "data": {"x": 1e6, "y": -1e6}, "label": "c0", "synthetic": True}, 1)
    ingest(ports, "plane", [far, *blobs(50)[0]])
    tend(ports, "plane")
    run_jobs(ports)
    rows = ports.features.take(ports.projects.get("plane"), np.arange(1, 51))
    np.testing.assert_allclose(rows.std(axis=0), 1, atol=1e-4)


@pytest.mark.parametrize(
    "line, part",
    [
        ({"synthetic": True}, "needs a `label`"),
        ({"synthetic": True, "label": "c0", "gold": "c0"}, "no `gold`"),
        ({"synthetic": "yes", "label": "c0"}, "must be true or false"),
        ({"metadata": {"synthetic": True}}, "needs a `label`"),
    ],
)
def test_a_synthetic_item_that_makes_no_sense_is_refused(ports, line, part):
    """Without a label, with a known answer, or with a mark that is no mark: the line says what to do."""
    project = create(ports)
    item = read({"key": "k", "data": {"x": 1.0, "y": 1.0}, **line}, 1)
    assert part in (item if hasattr(item, "error") else check(project, item)).error


# --- rows made of the features ---------------------------------------------------------------------------------


def imbalanced(seed=0):
    """120 rows of three classes in two dimensions: 90, 24 and 6."""
    rng = np.random.default_rng(seed)
    codes = np.repeat([0, 1, 2], [90, 24, 6])
    return (rng.normal(size=(120, 2)) + 3 * codes[:, None]).astype(np.float32), codes


def project_with(**section):
    return projects.parse(
        {
            "name": "plane",
            "labels": {"kind": "classes", "classes": ["c0", "c1", "c2"]},
            "features": {"kind": "columns"},
            "synthetic": section or SYNTHETIC,
        }
    )


@pytest.mark.parametrize("kind", ["smote", "adasyn", "random_over"])
def test_rows_bring_rare_classes_to_their_target(kind):
    """Classes below the target get about as many rows as they lack, inside their own range; the same by one seed."""
    features, codes = imbalanced()
    spec = project_with(kind=kind, target=0.5).synthetic
    rows, made = EstimatorKinds().synthesize(spec, features, codes, seed=3)
    counts = np.bincount(np.concatenate([codes, made]), minlength=3)
    assert counts[0] == 90
    assert abs(counts[1] - 45) <= 5
    assert abs(counts[2] - 45) <= 5
    assert rows.dtype == np.float32
    for code in (1, 2):
        theirs, real = rows[made == code], features[codes == code]
        assert (theirs.min(axis=0) >= real.min(axis=0) - 1e-5).all()
        assert (theirs.max(axis=0) <= real.max(axis=0) + 1e-5).all()
    again, _ = EstimatorKinds().synthesize(spec, features, codes, seed=3)
    np.testing.assert_array_equal(rows, again)


def test_sparse_rows_and_a_class_of_one():
    """Sparse features stay sparse, and a single row is repeated, for there is nothing between it and itself."""
    from scipy.sparse import csr_array, issparse

    features, codes = imbalanced()
    keep = np.r_[0:115]
    spec = project_with(kind="smote", target=0.5).synthetic
    rows, made = EstimatorKinds().synthesize(spec, csr_array(features[keep]), codes[keep], seed=0)
    assert issparse(rows)
    assert (made == 2).sum() == 44
    np.testing.assert_allclose(rows.toarray()[made == 2], np.repeat(features[[114]], 44, axis=0), rtol=1e-6)


def test_calibration_sees_real_rows_only(monkeypatch):
    """Every fold is fitted with made-up rows of its own rows; the temperature is fitted on each real row once."""
    features, codes = imbalanced()
    seen = []
    monkeypatch.setattr(calibration, "fit_temperature", lambda p, truth: seen.append((len(p), truth)) or 1.0)
    given = (features[:7] + 100, np.full(7, 2))
    estimators = Watched()
    fitting.fit(estimators, project_with(), features, codes, seed=0, given=given)
    assert len(estimators.fitted) == 1 + fitting.FOLDS
    for rows, theirs in estimators.fitted:
        assert np.bincount(theirs)[2] >= 0.7 * np.bincount(theirs)[0]
        assert (rows[theirs == 2] > 50).any()
    ((count, truth),) = seen
    assert count == 120
    np.testing.assert_array_equal(np.bincount(truth), [90, 24, 6])


def test_a_model_knows_which_of_its_predictions_hold():
    """On rows held out, a class that is taken for another is less reliable than one that is not."""
    rng = np.random.default_rng(0)
    codes = np.repeat([0, 1, 2], 60)
    features = rng.standard_normal((180, 4)) + 6 * (codes == 0)[:, None]
    project = project_with().model_copy(update={"synthetic": None})
    model = fitting.fit(EstimatorKinds(), project, features, codes, seed=0)
    assert len(model.reliability) == 3
    assert model.reliability[0] > max(model.reliability[1:])
    few = fitting.fit(EstimatorKinds(), project, features[::12], codes[::12], seed=0)
    assert few.reliability is None


def test_rows_of_a_held_out_fold_are_not_made_of_it():
    """What is made up for a fold lies between rows of the other folds: nothing leaks into the calibration."""
    features, codes = imbalanced()
    rare = np.flatnonzero(codes == 2)
    features[rare] = 1_000 * 2.0 ** np.arange(len(rare))[:, None]  # far apart: whom a row was made of can be told
    estimators = Watched()
    fitting.fit(estimators, project_with(kind="random_over", target=0.5), features, codes, seed=0)
    for rows, theirs in estimators.fitted[1:]:
        inside = {float(value) for value in rows[theirs == 2][:, 0]}
        assert 0 < len(inside) < len(rare)


def test_made_up_rows_are_part_of_digest_and_provenance_and_of_nothing_else(ports):
    """The loop with `synthetic` in its file: provenance and digest say so; pool, labels and exports stay real."""
    truth = start(ports, count=200, synthetic=SYNTHETIC)
    model = trained(ports, truth, rounds=3)
    assert model.provenance["synthetic"]["rows"] == {"neighbours": 5, **SYNTHETIC}
    assert "imbalanced-learn" in model.provenance["versions"]
    stored = ports.models.training_set("plane", model.training_set)
    assert len(stored.items) == model.labels
    assert ports.projects.row("plane").items == 200
    assert not [row for row in ports.verdicts.export("plane") if row["source"] == "synthetic"]
    plain = ports.projects.get("plane").model_copy(update={"synthetic": None})
    real = (np.array([ItemNumber(1)]), np.array([0]))
    nothing = (real[0][:0], real[1][:0])
    assert (
        training._training_set(plain, real, nothing).digest
        != training._training_set(ports.projects.get("plane"), real, nothing).digest
    )
