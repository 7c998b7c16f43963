"""Every kind of model drives the loop, and a broken model file is said, not served."""

import pytest
from conftest_loop import create, label, run_jobs, start, trained, who

from labelloop.domain.errors import BadArtifact
from labelloop.domain.states import JobKind, JobState, ModelState
from labelloop.loop.annotate import annotate
from labelloop.loop.ingest import ingest, read
from labelloop.loop.lease import lease
from labelloop.loop.promote import promote_by_hand
from labelloop.loop.request import request_round
from labelloop.loop.tend import tend
from labelloop.loop.train import _restore

SMALL = {"epochs": 15, "hidden": [16], "calibrate": False}


@pytest.mark.parametrize(
    "model,strategy",
    [
        ({"kind": "torch_mlp", "passes": 5, **SMALL}, "bald"),
        ({"kind": "torch_mlp", "members": 3, **SMALL}, "vote_entropy"),
        ({"kind": "sklearn", "estimator": "sklearn.ensemble.RandomForestClassifier"}, "consensus_entropy"),
        ({"kind": "modal_learner"}, "entropy"),
    ],
)
def test_committees_of_every_kind_rank_the_queue(ports, model, strategy):
    """MC-dropout, an ensemble, a forest and a modAL learner: trained, kept, restored, asked; nothing falls back."""
    truth = start(ports, model=model, strategy={"kind": strategy})
    trained(ports, truth, count=20)
    serving = ports.rounds.serving("plane")
    assert serving.model is not None
    assert serving.strategy == strategy
    assert "fallback" not in serving.stats


@pytest.mark.parametrize("size", [{"size": [8, 8]}, {}])
def test_a_small_convolution_learns_pictures(ports, size):
    """Rows of grey values through a CNN: bright and dark pictures are told apart, whoever says their size."""
    create(
        ports,
        labels={"kind": "classes", "classes": ["dark", "bright"]},
        items={"kind": "image", "field": "image", "shard_size": 64},
        features={"kind": "pixels", "field": "image", "maximum": 16, **size},
        model={"kind": "torch_cnn", "channels": [4], "hidden": 8, "epochs": 20, "calibrate": False},
    )
    shades = [(at * 7) % 17 for at in range(80)]
    raw = [{"key": f"p{at}", "data": {"image": [[shade] * 8] * 8}} for at, shade in enumerate(shades)]
    ingest(ports, "plane", [read(one, at + 1) for at, one in enumerate(raw)])
    tend(ports, "plane")
    run_jobs(ports)
    truth = {f"p{at}": "bright" if shade > 8 else "dark" for at, shade in enumerate(shades)}
    trained(ports, truth, count=20)
    champion = ports.models.get("plane", ports.projects.row("plane").champion)
    assert champion.state is ModelState.CHAMPION
    assert champion.metrics["accuracy"]["mean"] > 0.6


def damage(tmp_path, artifact):
    """Flip bytes in the middle of a model file."""
    (path,) = [one for one in (tmp_path / "artifacts").rglob("*") if one.is_file() and artifact in one.name]
    blob = bytearray(path.read_bytes())
    blob[len(blob) // 2] ^= 0xFF
    path.chmod(0o600)
    path.write_bytes(bytes(blob))


def test_a_damaged_champion_is_named_and_rolled_back(ports, tmp_path):
    """The round fails in words, the old order goes on being served, and an older model takes over by one call."""
    truth = start(ports)
    trained(ports, truth, count=20)
    older, champion = ports.models.all("plane")[0], ports.projects.row("plane").champion
    assert older.number != champion
    served = ports.rounds.serving("plane").number
    damage(tmp_path, ports.models.get("plane", champion).artifact)
    _restore.cache_clear()
    request_round(ports, "plane")
    run_jobs(ports)
    job = ports.jobs.recent("plane", JobKind.PLAN, 1)[0]
    assert (job.state, job.problem["type"]) == (JobState.FAILED, "bad-artifact")
    assert ports.rounds.serving("plane").number == served
    assert len(lease(ports, "plane", who("anna"), 3).leases) == 3
    promote_by_hand(ports, "plane", older.number, "eve")
    run_jobs(ports)
    tend(ports, "plane")
    assert ports.rounds.serving("plane").model == older.number
    with pytest.raises(BadArtifact):
        promote_by_hand(ports, "plane", champion, "eve")


def test_a_training_beside_a_damaged_champion_ends(ports, tmp_path):
    """The gate cannot compare with a broken champion: the job says so, and the candidate is kept."""
    truth = start(ports)
    trained(ports, truth, count=20)
    champion = ports.projects.row("plane").champion
    damage(tmp_path, ports.models.get("plane", champion).artifact)
    _restore.cache_clear()
    label(ports, truth, count=25)
    tend(ports, "plane")
    run_jobs(ports)
    newest = ports.models.all("plane")[-1]
    assert newest.number > champion
    assert newest.state is ModelState.CHAMPION
    assert "cannot be read" in newest.reason


CONFIG = """<View><Text name="t" value="$text"/>
<Choices name="topic" toName="t"><Choice value="sport"/><Choice value="news"/></Choices></View>"""


def test_label_studio_results_are_kept_and_learned(ports):
    """Answers carry a result; the class in it trains the model, and the export has it as it came."""
    create(
        ports,
        labels={"kind": "label_studio", "config": CONFIG},
        items={"kind": "text", "field": "text", "shard_size": 64},
        features={"kind": "text"},
    )
    words = {"sport": "goal match team", "news": "vote law minister"}
    raw = [{"key": f"k{at}", "data": {"text": f"{words[topic]} {at}"}} for at in range(20) for topic in words]
    raw = [{**one, "key": f"k{at}"} for at, one in enumerate(raw)]
    ingest(ports, "plane", [read(one, at + 1) for at, one in enumerate(raw)])
    tend(ports, "plane")
    run_jobs(ports)
    results = {}
    for _ in range(2):
        answers = []
        for one in lease(ports, "plane", who("anna"), 10).leases:
            topic = "sport" if "goal" in one.data["text"] else "news"
            region = {"id": f"r{one.id}", "from_name": "topic", "to_name": "t", "type": "choices"}
            results[one.key] = [{**region, "value": {"choices": [topic]}}]
            answers.append({"lease": str(one.id), "result": results[one.key]})
        annotate(ports, "plane", who("anna"), answers)
        tend(ports, "plane")
        run_jobs(ports)
    assert ports.projects.row("plane").champion is not None
    rows = {row["key"]: row for row in ports.verdicts.export("plane")}
    assert set(rows) == set(results)
    assert all(rows[key]["annotations"][0]["result"] == result for key, result in results.items())
    assert {row["label"] for row in rows.values()} == {"sport", "news"}
