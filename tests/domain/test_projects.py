"""Project files: what is read, and how a mistake is answered."""

import json

import pytest

from labelloop import projects
from labelloop.domain.errors import InvalidProject
from labelloop.domain.states import Lane

PLAIN = {
    "name": "demo",
    "labels": {"kind": "classes", "classes": ["cat", "dog"]},
    "features": {"kind": "text"},
}


def complaint(**changes):
    with pytest.raises(InvalidProject) as caught:
        projects.parse(PLAIN | changes)
    return caught.value.detail


def test_a_plain_project_gets_the_defaults():
    """Three keys are enough; the rest has defaults that work."""
    project = projects.parse(PLAIN)
    assert project.strategy == projects.RECOMMENDED
    assert (project.retrain.labels, project.retrain.growth) == (5, 0.1)
    assert project.votes.most == 1
    assert project.lanes.shares() == {Lane.INFORMATIVE: 0.9, Lane.AUDIT: 0.1}


def test_a_strategy_that_is_named_is_that_alone():
    """Who asks for plain margin gets it, without the batches that the default spreads."""
    strategy = projects.parse(PLAIN | {"strategy": {"kind": "margin"}}).strategy
    assert strategy != projects.RECOMMENDED
    assert strategy.diversity == "none"


@pytest.mark.parametrize(
    "given,labels,growth",
    [
        ({"first": 30}, 5, 0.1),
        ({"labels": 40}, 40, None),
        ({"growth": 0.5}, None, 0.5),
        ({"schedule": "0 2 * * *"}, None, None),
        ({"class_minimum": 10, "every": 60}, None, None),
    ],
)
def test_conditions_of_retraining_that_are_not_given_never_hold(given, labels, growth):
    """A project that is trained at night is not trained after each few labels, too; one must be due some time."""
    retrain = projects.parse(PLAIN | {"retrain": given}).retrain
    assert (retrain.labels, retrain.growth) == (labels, growth)


def test_growth_alone_begins_with_five_labels():
    """A tenth of twenty labels would be a training for every second one."""
    retrain = projects.parse(PLAIN | {"retrain": {"growth": 0.1}}).retrain
    assert [retrain.step(labels) for labels in (20, 50, 200)] == [5, 5, 20]


@pytest.mark.parametrize(
    "changes,parts",
    [
        ({"lanez": {}}, ["unknown key 'lanez'", "lanes", "votes"]),
        ({"lanes": {"informativ": 1}}, ["lanes.informativ", "informative", "minority"]),
        ({"strategy": {"kind": "margn"}}, ["unknown kind 'margn'", "margin", "entropy"]),
        ({"strategy": {"kind": "expected_cost", "costs": [[0, 1], [1]]}}, ["costs", "as many columns as rows"]),
        ({"strategy": {"kind": "expected_cost", "costs": [[0, float("inf")], [1, 0]]}}, ["costs", "finite"]),
        ({"strategy": {"kind": "bald", "power": 0}}, ["power", "greater than 0"]),
        ({"features": {"kind": "text", "feild": "x"}}, ["feild", "field", "vectorizer"]),
        ({"features": {}}, ["features", "needs a `kind`"]),
        ({"votes": {"needed": 3, "cap": 1}}, ["votes.cap (1) is below votes.needed (3)"]),
        ({"labels": {"kind": "classes", "classes": ["a", "a"]}}, ["twice: a"]),
        ({"labels": {"kind": "classes"}}, ["'labels.classes' is missing"]),
        ({"labels": {"kind": "classes", "classes": ["a", "b"], "clases": []}}, ["'labels.clases'", "instructions"]),
        ({"strategy": {"kind": "margin", "diversity": "hrding"}}, ["'strategy.diversity'", "herding"]),
        ({"name": "No Spaces"}, ["lower-case"]),
        ({"retrain": {"schedule": "every day"}}, ["five fields"]),
        ({"lanes": {"informative": 0, "minority": 0}}, ["share above 0"]),
        (
            {"model": {"kind": "modal_committee", "members": [{"estmator": "x"}, {}]}},
            ["estmator", "estimator", "parameters"],
        ),
        (
            {"model": {"kind": "modal_committee", "members": [{"self_training": {}}, {}]}},
            ["as a whole", "beside `members`"],
        ),
    ],
)
def test_a_mistake_is_named_with_what_is_known_there(changes, parts):
    """A typo costs labels when it is ignored; the answer names it and the known keys or kinds."""
    text = complaint(**changes)
    for part in parts:
        assert part in text


def test_all_mistakes_are_named_at_once():
    """Nobody wants to fix a file one run at a time."""
    text = complaint(lanez={}, strategy={"kind": "margn"})
    assert "lanez" in text
    assert "margn" in text


def test_a_project_survives_json():
    """The same object comes back from its own JSON."""
    project = projects.parse(PLAIN | {"votes": {"needed": 3}})
    assert projects.parse(json.loads(project.model_dump_json())) == project


def test_a_file_reads_its_labeling_configuration_from_beside_it(tmp_path):
    """labels.config may name a file."""
    (tmp_path / "config.xml").write_text("<View/>")
    path = tmp_path / "p.toml"
    path.write_text('name = "p"\n[labels]\nkind = "label_studio"\nconfig = "config.xml"\n[features]\nkind = "text"\n')
    assert projects.load(path).labels.config == "<View/>"


def test_data_may_lie_beside_the_file_that_names_them(tmp_path, monkeypatch):
    """From another folder they are found beside it; what the current folder has is meant first."""
    (tmp_path / "mails").mkdir()
    (tmp_path / "mails" / "mails.csv").write_text("text,label\n")
    path = tmp_path / "mails" / "p.toml"
    path.write_text(
        'name = "p"\n[labels]\nkind = "classes"\nclasses = ["a", "b"]\n[features]\nkind = "text"\n'
        '[source.data]\nkind = "table"\npath = "mails.csv"\n'
    )
    monkeypatch.chdir(tmp_path)
    assert projects.load(path).source.data.path == str(tmp_path / "mails" / "mails.csv")
    monkeypatch.chdir(tmp_path / "mails")
    assert projects.load(path).source.data.path == "mails.csv"


@pytest.mark.parametrize(
    "items,features,measured",
    [
        ({"kind": "text", "field": "message"}, {"kind": "text"}, "message"),
        ({"field": "message"}, {"kind": "text"}, "message"),
        ({"kind": "image", "field": "scan"}, {"kind": "pixels"}, "scan"),
        ({"kind": "text", "field": "message"}, {"kind": "text", "field": "body"}, "body"),
        ({"kind": "text", "field": "message"}, {"kind": "embedding"}, "embedding"),
        ({"kind": "text"}, {"kind": "text"}, "text"),
    ],
)
def test_what_is_shown_is_what_is_measured(items, features, measured):
    """The field of the items is the field of their features, unless the file names another or measures another kind."""
    assert projects.parse(PLAIN | {"items": items, "features": features}).features.field == measured


@pytest.mark.parametrize(
    "items,features,shown",
    [
        ({"kind": "text"}, {"kind": "text", "field": "message"}, "message"),
        ({"kind": "text", "field": "message"}, {"kind": "text", "field": "body"}, "message"),
        ({"kind": "text"}, {"kind": "columns"}, "text"),
        ({"kind": "image"}, {"kind": "pixels", "field": "scan"}, "scan"),
        ({"kind": "image"}, {"kind": "embedding"}, "image"),
        ({"kind": "table"}, {"kind": "text", "field": "message"}, None),
    ],
)
def test_what_is_measured_is_shown_where_nothing_else_is_said(items, features, shown):
    """People see the field that the model sees, where only that one is named; keywords are looked for there, too."""
    assert projects.parse(PLAIN | {"items": items, "features": features}).shown_field == shown


@pytest.mark.parametrize(
    "changes,learns",
    [
        ({}, True),
        ({"model": {"kind": "sklearn", "estimator": "sklearn.linear_model.SGDClassifier"}}, True),
        ({"model": {"kind": "sklearn", "self_training": {"per_label": 0}}}, False),
        ({"model": {"kind": "sklearn", "estimator": "sklearn.ensemble.RandomForestClassifier"}}, False),
        ({"features": {"kind": "text", "svd": 50}}, True),
        ({"features": {"kind": "columns"}}, False),
        ({"features": {"kind": "columns"}, "model": {"kind": "sklearn", "self_training": {}}}, True),
    ],
)
def test_who_learns_so_unless_the_file_says_otherwise(changes, learns):
    """Texts with a linear model, where it was measured to help; a file has the last word."""
    assert (projects.parse(PLAIN | changes).guessing is not None) is learns


@pytest.mark.parametrize(
    "changes,parameters",
    [
        ({}, {"C": 10.0, "max_iter": 1000}),
        ({"model": {"kind": "sklearn", "calibrate": False}}, {"C": 10.0, "max_iter": 1000}),
        ({"model": {"kind": "sklearn", "parameters": {}}}, {}),
        ({"model": {"kind": "sklearn", "parameters": {"C": 2.0}}}, {"C": 2.0}),
        ({"model": {"kind": "sklearn", "estimator": "sklearn.ensemble.RandomForestClassifier"}}, {}),
        ({"features": {"kind": "columns"}}, {}),
    ],
)
def test_texts_get_the_penalty_that_suits_them(changes, parameters):
    """Logistic regression of terms is held back less than scikit-learn would; parameters that are given are kept."""
    assert projects.parse(PLAIN | changes).model.parameters == parameters


@pytest.mark.parametrize("content,part", [(None, "cannot be read"), ("name = ", "not valid TOML")])
def test_an_unreadable_file_says_so(tmp_path, content, part):
    """A missing or broken file is named."""
    path = tmp_path / "p.toml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InvalidProject, match=part):
        projects.load(path)


def test_a_missing_labeling_configuration_is_named(tmp_path):
    """The path that is not there is in the message."""
    path = tmp_path / "p.toml"
    path.write_text('name = "p"\n[labels]\nkind = "label_studio"\nconfig = "gone.xml"\n[features]\nkind = "text"\n')
    with pytest.raises(InvalidProject, match=r"gone\.xml"):
        projects.load(path)


def test_the_json_schema_describes_every_key():
    """Editors show what a key means: each property of each section has a description."""
    definitions = projects.json_schema()["$defs"]
    assert "Lanes" in definitions
    assert definitions["Lanes"]["properties"]["window"]["description"]
