"""Saved models: what is damaged, foreign, hostile or of another version is refused with what to do."""

import hashlib
import io
import os
import pickle
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import skops.io
from estimator_cases import SPECS
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.tree import DecisionTreeClassifier
from structlog.testing import capture_logs

from labelloop.adapters.estimators import EstimatorKinds, container, kinds
from labelloop.adapters.estimators.container import Packed, pack, unpack
from labelloop.domain.errors import BadArtifact, CannotTrain, InvalidProject

PARTS = Packed(
    kind="sklearn",
    classes=(0, 3),
    versions={"scikit-learn": "1.9.1"},
    facts={"shape": [2, 3]},
    payloads={"first": b"some bytes", "empty": b"", "last": bytes(range(256))},
)
BLOB = pack(PARTS)


def sklearn_blob(estimator, **changes):
    """A model file around any object, as somebody might forge it."""
    packed = Packed(
        kind="sklearn",
        classes=(0, 1),
        versions=kinds.importlib.import_module("labelloop.adapters.estimators.skops_files").versions(),
        payloads={"estimator": estimator if isinstance(estimator, bytes) else skops.io.dumps(estimator)},
    )
    return pack(replace(packed, **changes))


def small_tree(kind=DecisionTreeClassifier, **options):
    rows = np.random.default_rng(0).normal(size=(60, 4))
    return kind(random_state=0, **options).fit(rows, (rows[:, 0] > rows[:, 1]).astype(int))


def test_a_container_gives_back_what_was_put_in():
    """Kind, classes, versions, facts and payloads survive."""
    assert unpack(BLOB) == PARTS


@settings(deadline=None)
@given(place=st.integers(0, len(BLOB) - 1), mask=st.integers(1, 255))
def test_any_changed_byte_is_noticed(place, mask):
    """No byte of a model file can change unseen."""
    changed = bytearray(BLOB)
    changed[place] ^= mask
    with pytest.raises(BadArtifact):
        unpack(bytes(changed))


@settings(deadline=None)
@given(length=st.integers(0, len(BLOB) - 1))
def test_a_file_cut_anywhere_is_noticed(length):
    """A half-written file is no model."""
    with pytest.raises(BadArtifact):
        unpack(BLOB[:length])


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_garbage_is_refused(garbage):
    """Any bytes that are not ours are refused, also when they begin as ours do."""
    with pytest.raises(BadArtifact, match="not a labelloop model"):
        EstimatorKinds().restore(b"PK" + garbage)
    with pytest.raises(BadArtifact, match=r"damaged|format version"):
        EstimatorKinds().restore(container.MAGIC + garbage)


def test_bytes_after_the_end_are_refused():
    """Nothing may hide behind the last payload."""
    with pytest.raises(BadArtifact, match="3 bytes too many"):
        unpack(BLOB + b"abc")


@pytest.mark.parametrize(
    "header",
    [
        b"[]",
        b"{}",
        b"not json",
        b"[" * 100_000,
        b'{"kind": "sklearn", "classes": [0], "versions": {}, "facts": {}, "payloads": [{"bytes": "x"}]}',
        b'{"kind": "sklearn", "classes": ["a"], "versions": {}, "facts": {}, "payloads": []}',
        b'{"kind": "sklearn", "classes": 3, "versions": [], "facts": {}, "payloads": []}',
    ],
)
def test_a_forged_header_is_refused(header):
    """A digest can be forged with what it covers; a header that makes no sense is refused all the same."""
    fixed = container._FIXED.pack(container.VERSION, len(header), hashlib.sha256(header).digest())
    with pytest.raises(BadArtifact, match="header of the model file makes no sense"):
        EstimatorKinds().restore(container.MAGIC + fixed + header)


def test_a_model_without_its_payload_is_refused():
    """A file whole in itself, but without the estimator it should hold, is refused with the versions named."""
    with pytest.raises(BadArtifact, match=r"cannot be read.*scikit-learn"):
        EstimatorKinds().restore(sklearn_blob(small_tree(), payloads={}))


def test_another_minor_version_of_scikit_learn_is_loaded_with_a_note(monkeypatch):
    """scikit-learn itself warns about such a model; it serves, and the log says so."""
    monkeypatch.setattr("sklearn.base.__version__", "1.0.99")
    blob = sklearn_blob(small_tree())
    monkeypatch.undo()
    with capture_logs() as logs:
        EstimatorKinds().restore(blob)
    assert {entry["category"] for entry in logs} == {"InconsistentVersionWarning"}


def test_another_format_version_says_which_labelloop_to_use(monkeypatch):
    """A file of a future format is refused with both versions named."""
    monkeypatch.setattr(container, "VERSION", 7)
    future = pack(PARTS)
    monkeypatch.undo()
    with pytest.raises(BadArtifact, match=r"format version 7; this labelloop reads version 1.*Use the labelloop"):
        unpack(future)


def test_an_unknown_kind_is_answered_with_the_known_ones():
    """A kind that a later labelloop added is named, with those known here."""
    with pytest.raises(BadArtifact, match=r"'quantum'.*it knows sklearn"):
        EstimatorKinds().restore(pack(replace(PARTS, kind="quantum")))


def test_another_major_version_of_scikit_learn_is_refused():
    """The inner state of an estimator is not read by another major version, which could misread it silently."""
    with pytest.raises(BadArtifact, match=r"scikit-learn 99\.0.*train again"):
        EstimatorKinds().restore(sklearn_blob(small_tree(), versions={"scikit-learn": "99.0"}))


def test_types_that_are_not_trusted_are_refused_before_they_exist():
    """A file that names os.system is refused when it is read."""
    with pytest.raises(BadArtifact, match=r"types that labelloop does not load.*system"):
        EstimatorKinds().restore(sklearn_blob(FunctionTransformer(func=os.system)))


def test_a_pickle_is_never_read(tmp_path):
    """A pickle that would run code in place of a skops file is refused, and does not run."""
    marker = tmp_path / "ran"

    class Bomb:
        def __reduce__(self):
            return (os.mkdir, (str(marker),))

    with pytest.raises(BadArtifact, match="no skops file"):
        EstimatorKinds().restore(sklearn_blob(pickle.dumps(Bomb())))
    assert not marker.exists()


@pytest.mark.parametrize(
    "thing", [StandardScaler(), LogisticRegression(), DummyClassifier().fit([[0], [1]], [0, 1]), [1, 2], {"a": 1}]
)
def test_trusted_types_that_are_no_fitted_classifier_are_refused(thing):
    """A harmless object in place of the estimator is refused when it is read, not when the pool is scored."""
    with pytest.raises(BadArtifact, match="not a fitted classifier"):
        EstimatorKinds().restore(sklearn_blob(thing))


def test_a_zip_bomb_is_refused_unread():
    """A small file that would unpack to a large one is refused by its declared size."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("schema.json", b" " * (64 << 20))
    with pytest.raises(BadArtifact, match="would unpack"):
        EstimatorKinds().restore(sklearn_blob(buffer.getvalue()))


@pytest.mark.parametrize("field, value", [("left_child", 10_000), ("right_child", 0), ("feature", 4), ("feature", -7)])
def test_a_tree_that_points_outside_of_itself_is_refused(field, value):
    """scikit-learn follows a tree's indices unchecked: a forged one could crash the worker."""
    forged = small_tree()
    state = forged.tree_.__getstate__()
    state["nodes"][field][0] = value
    forged.tree_.__setstate__(state)
    with pytest.raises(BadArtifact, match="nodes point outside"):
        EstimatorKinds().restore(sklearn_blob(forged))


@pytest.mark.parametrize("field, value", [("left", 10_000), ("right", 0), ("feature_idx", 4)])
def test_a_boosted_tree_that_points_outside_of_itself_is_refused(field, value):
    """The same for histogram boosting, whose trees are of another type."""
    forged = small_tree(HistGradientBoostingClassifier, max_iter=2)
    forged._predictors[1][0].nodes[field][0] = value
    with pytest.raises(BadArtifact, match="nodes point outside"):
        EstimatorKinds().restore(sklearn_blob(forged))


def test_a_model_with_other_classes_than_its_header_is_refused():
    """Columns in the wrong place would be wrong answers; the two places that name classes must agree."""
    with pytest.raises(BadArtifact, match="classes are not those"):
        EstimatorKinds().restore(sklearn_blob(small_tree(), classes=(0, 4)))


def test_weights_that_do_not_fit_their_network_are_refused(digits):
    """A header that promises another network than the weights are of is refused, without allocating it."""
    estimators = EstimatorKinds()
    packed = unpack(estimators.dump(estimators.fit(SPECS["mlp"], digits.features, digits.codes, shape=None, seed=1)))
    facts = {**packed.facts, "spec": {**packed.facts["spec"], "hidden": [1_000_000_000, 1_000_000]}}
    with pytest.raises(BadArtifact, match="do not fit"):
        estimators.restore(pack(replace(packed, facts=facts)))


def test_payloads_that_cannot_be_read_name_the_versions(digits):
    """Whatever else goes wrong ends in an error that says which versions made the file and which are here."""
    estimators = EstimatorKinds()
    packed = unpack(estimators.dump(estimators.fit(SPECS["mlp"], digits.features, digits.codes, shape=None, seed=1)))
    with pytest.raises(BadArtifact, match=r"torch .*\(here .*train the model again"):
        estimators.restore(pack(replace(packed, payloads={"weights": b"\xff" * 40})))


def test_a_missing_extra_is_named(monkeypatch, digits):
    """Without torch every door says which extra to install: creation, training and loading."""
    estimators = EstimatorKinds()
    blob = estimators.dump(estimators.fit(SPECS["mlp"], digits.features, digits.codes, shape=None, seed=1))

    def absent(name):
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(kinds.importlib, "import_module", absent)
    with pytest.raises(InvalidProject, match=r"labelloop\[torch\]"):
        estimators.check(SPECS["cnn"])
    with pytest.raises(CannotTrain, match=r"labelloop\[torch\]"):
        estimators.fit(SPECS["mlp"], digits.features, digits.codes, shape=None, seed=1)
    with pytest.raises(BadArtifact, match=r"labelloop\[torch\]"):
        estimators.restore(blob)
