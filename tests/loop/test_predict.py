"""What a model says of the items that nobody answered: all of them, once each, as it says it of any row."""

from dataclasses import replace

import numpy as np
import pytest
from conftest_loop import blobs, create, label, run_jobs, start, trained, who

from labelloop import projects
from labelloop.domain.errors import BadArtifact, Conflict, Invalid, UnknownModel
from labelloop.domain.states import ItemState
from labelloop.loop import predict as predicting
from labelloop.loop.ingest import ingest
from labelloop.loop.lease import lease
from labelloop.loop.predict import predict
from labelloop.loop.request import request_round
from labelloop.loop.train import _restore, load_model

COPIED = 3


def _known(ports, key):
    return ports.pool.find("plane", key)


def test_every_item_without_an_answer_is_predicted_once(ports, monkeypatch):
    """Waiting and leased ones by number, over pages and shards; what is answered is left out."""
    monkeypatch.setattr(predicting, "PAGE", 50)
    truth = start(ports)
    trained(ports, truth, count=20)
    lease(ports, "plane", who("ben"), 7)
    rows = list(predict(ports, "plane"))
    answered = set(ports.pool.labeled("plane")[0].tolist())
    assert len(answered) == 40
    assert [row["item"] for row in rows] == sorted(set(range(200)) - answered)
    champion = ports.projects.row("plane").champion
    assert {row["model"] for row in rows} == {champion}
    project = ports.projects.get("plane")
    said = load_model(ports, project, champion).probabilities(
        ports.features.take(project, np.array([row["item"] for row in rows]))
    )
    assert [row["label"] for row in rows] == [f"c{code}" for code in said.argmax(axis=1)]
    assert [row["confidence"] for row in rows] == pytest.approx(said.max(axis=1), abs=1e-6)
    assert np.mean([row["label"] == truth[row["key"]] for row in rows]) > 0.8
    assert "probabilities" not in rows[0]


def test_probabilities_of_every_class_and_only_what_is_sure(ports):
    """Those of each class sum to 1; `least` leaves out the rest and changes nothing else."""
    trained(ports, start(ports), count=20)
    rows = list(predict(ports, "plane", every_class=True))
    assert all(sum(row["probabilities"].values()) == pytest.approx(1, abs=1e-5) for row in rows)
    assert all(list(row["probabilities"]) == ["c0", "c1", "c2"] for row in rows)
    assert all(row["confidence"] == max(row["probabilities"].values()) for row in rows)
    middle = sorted(row["confidence"] for row in rows)[len(rows) // 2]
    sure = list(predict(ports, "plane", least=middle, every_class=True))
    assert 0 < len(sure) < len(rows)
    assert sure == [row for row in rows if row["confidence"] >= middle]


def test_copies_are_predicted_as_what_they_are_copies_of(ports, monkeypatch):
    """An exact copy names the first of its kind; copies of answered items have an answer, and no prediction."""
    monkeypatch.setattr(predicting, "PAGE", 50)
    truth = start(ports)
    items, _ = blobs(200)
    trained(ports, truth, count=20)
    answered = int(ports.pool.labeled("plane")[0][0])
    waiting = next(number for number in range(200) if _known(ports, f"i{number}").state is ItemState.POOLED)
    ingest(ports, "plane", [replace(items[waiting], key=f"again {at}") for at in range(COPIED)])
    ingest(ports, "plane", [replace(items[answered], key="of an answered one")])
    request_round(ports, "plane")
    run_jobs(ports)
    rows = {row["key"]: row for row in predict(ports, "plane")}
    assert "of an answered one" not in rows
    for at in range(COPIED):
        copy, first = rows[f"again {at}"], rows[f"i{waiting}"]
        assert copy["duplicate_of"] == first["key"]
        assert (copy["label"], copy["confidence"]) == (first["label"], first["confidence"])
        assert copy["item"] > first["item"]


def test_another_model_than_the_champion(ports):
    """A number chooses it; one that is not there is named."""
    trained(ports, start(ports), count=20)
    numbers = [model.number for model in ports.models.all("plane")]
    assert len(numbers) == 2
    assert {row["model"] for row in predict(ports, "plane", model=numbers[0])} == {numbers[0]}
    with pytest.raises(UnknownModel):
        predict(ports, "plane", model=99)


def test_what_cannot_be_predicted_is_said_before_the_first_row(ports, tmp_path):
    """No model yet, a confidence that is none, items without features, a damaged model."""
    truth = start(ports)
    with pytest.raises(Conflict, match="no model yet"):
        predict(ports, "plane")
    trained(ports, truth, count=20)
    with pytest.raises(Invalid, match="probability"):
        predict(ports, "plane", least=1.5)
    more, _ = blobs(230, seed=1)
    ingest(ports, "plane", [replace(item, key=f"late {item.key}") for item in more])
    with pytest.raises(Conflict, match="no features yet"):
        predict(ports, "plane")
    request_round(ports, "plane")
    run_jobs(ports)
    _restore.cache_clear()
    model = ports.models.get("plane", ports.projects.row("plane").champion)
    (tmp_path / "artifacts" / model.artifact[:2] / model.artifact).write_bytes(b"broken")
    with pytest.raises(BadArtifact):
        predict(ports, "plane")


def test_a_class_that_came_later_has_no_chance_yet(ports):
    """The model was trained before it: it is told with a probability of 0, and the others as they were."""
    trained(ports, start(ports), count=20)
    before = list(predict(ports, "plane"))
    row = ports.projects.row("plane")
    raw = ports.projects.get("plane").model_dump(mode="json")
    raw["labels"]["classes"] = ["c0", "c1", "c2", "c3"]
    ports.projects.change(projects.parse(raw), known=row.edition, by="me", now=ports.clock.now(), plan=None)
    rows = list(predict(ports, "plane", every_class=True))
    assert {row["probabilities"]["c3"] for row in rows} == {0.0}
    assert [row["label"] for row in rows] == [row["label"] for row in before]


def test_nothing_of_it_is_a_label(ports):
    """Predicting changes neither labels, nor what waits, nor what a round is made of."""
    truth = start(ports)
    trained(ports, truth, count=20)
    before = ports.projects.row("plane"), ports.pool.counts("plane"), list(ports.verdicts.export("plane"))
    list(predict(ports, "plane"))
    assert before == (ports.projects.row("plane"), ports.pool.counts("plane"), list(ports.verdicts.export("plane")))
    assert label(ports, truth, count=5)


def test_an_empty_pool_has_no_model_and_says_so(ports):
    """A project without items is told as one without a model."""
    create(ports)
    with pytest.raises(Conflict, match="no model yet"):
        predict(ports, "plane")
