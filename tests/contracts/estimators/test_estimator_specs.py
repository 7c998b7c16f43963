"""What a project file may ask of scikit-learn, and how a wrong wish is answered."""

import inspect

import numpy as np
import pytest
import sklearn
from scipy.sparse import csr_array
from sklearn.base import ClassifierMixin
from sklearn.linear_model import LogisticRegression
from structlog.testing import capture_logs

from labelloop.adapters.estimators import EstimatorKinds, sklearn_specs
from labelloop.domain.errors import CannotTrain, InvalidProject
from labelloop.projects import ModalCommittee, ModalLearner, SklearnModel, TorchMlp

NEED_PARAMETERS = {
    "AdaBoostClassifier": {"n_estimators": 5},
    "BaggingClassifier": {"n_estimators": 4, "max_features": 0.5},
    "ExtraTreesClassifier": {"n_estimators": 5},
    "GaussianProcessClassifier": {"max_iter_predict": 5},
    "GradientBoostingClassifier": {"n_estimators": 3},
    "HistGradientBoostingClassifier": {"max_iter": 5},
    "LogisticRegressionCV": {"Cs": 2, "cv": 2, "max_iter": 500},
    "MLPClassifier": {"hidden_layer_sizes": [8]},
    "NuSVC": {"probability": True},
    "QuadraticDiscriminantAnalysis": {"solver": "eigen", "shrinkage": 0.5},
    "RandomForestClassifier": {"n_estimators": 5},
    "RadiusNeighborsClassifier": {"radius": 1000.0},
    "SGDClassifier": {"loss": "log_loss"},
    "SVC": {"probability": True},
    "StackingClassifier": {
        "estimators": [
            ["tree", {"estimator": "sklearn.tree.DecisionTreeClassifier"}],
            ["bayes", {"estimator": "sklearn.naive_bayes.BernoulliNB"}],
        ],
        "final_estimator": {"estimator": "sklearn.tree.DecisionTreeClassifier"},
        "cv": 2,
    },
    "VotingClassifier": {
        "estimators": [
            ["tree", {"estimator": "sklearn.tree.DecisionTreeClassifier"}],
            ["bayes", {"estimator": "sklearn.naive_bayes.GaussianNB", "parameters": {"var_smoothing": 0.01}}],
        ],
        "voting": "soft",
    },
}
NO_PROBABILITIES = {
    "LinearSVC", "NearestCentroid", "PassiveAggressiveClassifier", "Perceptron", "RidgeClassifier", "RidgeClassifierCV"
}  # fmt: skip


def allowed():
    for module_name in sklearn_specs.MODULES:
        module = __import__(module_name, fromlist=["_"])
        for name in module.__all__:
            found = getattr(module, name)
            if inspect.isclass(found) and issubclass(found, ClassifierMixin) and name not in NO_PROBABILITIES:
                yield f"{module_name}.{name}"


@pytest.mark.parametrize("path", list(allowed()))
def test_every_allowed_classifier_trains_is_saved_and_takes_sparse_rows(path, digits):
    """Each classifier of the allow-list goes the whole way, so that a release of scikit-learn cannot surprise us."""
    estimators = EstimatorKinds()
    spec = SklearnModel(estimator=path, parameters=NEED_PARAMETERS.get(path.rpartition(".")[2], {}))
    estimators.check(spec)
    model = estimators.fit(spec, digits.features[:60], digits.codes[:60], shape=None, seed=1)
    seen = digits.features[:30]
    answers = model.probabilities(seen)
    np.testing.assert_allclose(answers.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(estimators.restore(estimators.dump(model)).probabilities(seen), answers)
    voices = model.committee(seen)
    assert voices is None or np.allclose(voices.mean(axis=0), answers, atol=1e-6)
    sparse = csr_array(digits.features[:60])
    sparse.indices, sparse.indptr = sparse.indices.astype(np.int64), sparse.indptr.astype(np.int64)
    again = estimators.fit(spec, sparse, digits.codes[:60], shape=None, seed=1)
    assert again.probabilities(sparse[:30]).shape == answers.shape


def test_agrees_with_plain_scikit_learn(estimators, digits):
    """Nothing of ours changes what the classifier alone would say."""
    plain = LogisticRegression(max_iter=1000, random_state=4).fit(digits.features.astype(float), digits.codes)
    ours = estimators.fit(
        SklearnModel(parameters={"max_iter": 1000}), digits.features, digits.codes, shape=None, seed=4
    )
    np.testing.assert_array_equal(ours.probabilities(digits.unseen), plain.predict_proba(digits.unseen.astype(float)))


@pytest.mark.parametrize(
    "path",
    [
        "os.system",
        "sklearn.dummy.DummyClassifier",
        "sklearn.linear_model._logistic.LogisticRegression",
        "sklearn.ensemble.RandomForestRegressor",
        "sklearn.linear_model.Lars",
        "LogisticRegression",
        "",
    ],
)
def test_only_public_classifiers_of_the_allow_list(estimators, path):
    """A project file cannot make a worker import or call anything else."""
    with pytest.raises(InvalidProject, match=r"model\.estimator"):
        estimators.check(SklearnModel(estimator=path))


def test_a_nested_estimator_is_bound_to_the_allow_list_too(estimators):
    """The back door through a parameter is closed."""
    spec = SklearnModel(
        estimator="sklearn.ensemble.BaggingClassifier", parameters={"estimator": {"estimator": "os.system"}}
    )
    with pytest.raises(InvalidProject, match="not below an allowed module"):
        estimators.check(spec)


@pytest.mark.parametrize(
    "spec",
    [
        SklearnModel(parameters={"max_itre": 5}),
        ModalLearner(parameters={"max_itre": 5}),
        ModalCommittee(members=(SklearnModel(), SklearnModel(parameters={"max_itre": 5}))),
    ],
)
def test_an_unknown_parameter_is_answered_with_the_known_ones(estimators, spec):
    """A typo is found when the project is created, without any data."""
    with pytest.raises(InvalidProject, match=r"'max_itre'; it has C, .*max_iter"):
        estimators.check(spec)


def test_a_wrong_value_is_found_without_data(estimators):
    """scikit-learn's own rules for a parameter hold at creation already."""
    with pytest.raises(InvalidProject, match=r"'max_iter'.*must be"):
        estimators.check(SklearnModel(parameters={"max_iter": -3}))


@pytest.mark.parametrize(
    "path, way",
    [("sklearn.svm.SVC", "probability = true"), ("sklearn.linear_model.SGDClassifier", "log_loss")],
)
def test_a_classifier_without_probabilities_is_refused_with_a_way_out(estimators, path, way):
    """Query strategies need probabilities; the error says how this classifier gives them."""
    with pytest.raises(InvalidProject, match=way):
        estimators.check(SklearnModel(estimator=path))


@pytest.mark.parametrize("name", sorted(NO_PROBABILITIES - {"NearestCentroid"}))
def test_those_that_never_give_probabilities_are_refused(estimators, name):
    """The list of exceptions above is exact."""
    home = "svm" if name == "LinearSVC" else "linear_model"
    with pytest.raises(InvalidProject, match="no probabilities"):
        estimators.check(SklearnModel(estimator=f"sklearn.{home}.{name}"))


def test_dropout_passes_need_dropout(estimators):
    """Options that contradict each other are found at creation."""
    with pytest.raises(InvalidProject, match="no committee"):
        estimators.check(TorchMlp(passes=1))
    with pytest.raises(InvalidProject, match="no hidden layer"):
        estimators.check(TorchMlp(passes=5, hidden=()))
    with pytest.raises(InvalidProject, match=r"model\.dropout is 0"):
        estimators.check(TorchMlp(passes=5, dropout=0))


def test_an_invalid_section_cannot_train(estimators, digits):
    """A worker that meets a section nobody checked ends the job with the same sentence."""
    with pytest.raises(CannotTrain, match="max_itre"):
        estimators.fit(SklearnModel(parameters={"max_itre": 5}), digits.features, digits.codes, shape=None, seed=1)


def test_class_weights_by_position_may_name_classes_not_yet_seen(estimators, digits):
    """Weights are written for all classes; the first labels show a few of them."""
    weights = {"2": 1, "5": 1, "7": 50, "9": 3}
    spec = SklearnModel(parameters={"max_iter": 1000, "C": 1e-4, "class_weight": weights})
    plain = SklearnModel(parameters={"max_iter": 1000, "C": 1e-4})
    heavy, even = (
        estimators.fit(each, digits.features, digits.codes, shape=None, seed=1).probabilities(digits.unseen)[:, 2]
        for each in (spec, plain)
    )
    assert heavy.mean() > even.mean() + 0.1
    with pytest.raises(InvalidProject, match="positions of classes"):
        estimators.check(SklearnModel(parameters={"class_weight": {"spam": 2}}))


def test_a_warning_becomes_a_note(estimators, digits):
    """A solver that stops early is worth a line in the log, not a failed training."""
    with capture_logs() as logs:
        estimators.fit(SklearnModel(parameters={"max_iter": 1}), digits.features, digits.codes, shape=None, seed=1)
    assert [entry["category"] for entry in logs if entry["event"] == "estimator.warned"] == ["ConvergenceWarning"]


def test_seeds_reach_nested_estimators_but_not_over_the_project(digits):
    """Every open random state gets the seed; one that the project file sets is kept."""
    voters = [
        ["open", {"estimator": "sklearn.tree.DecisionTreeClassifier"}],
        ["set", {"estimator": "sklearn.tree.DecisionTreeClassifier", "parameters": {"random_state": 3}}],
    ]
    built = sklearn_specs.build("sklearn.ensemble.VotingClassifier", {"estimators": voters, "voting": "soft"}, seed=11)
    assert [each.random_state for _, each in built.estimators] == [11, 3]
    assert sklearn.utils.get_tags(built).input_tags.sparse
