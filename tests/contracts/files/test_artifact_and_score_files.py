"""The ports Artifacts and ScoreFiles over plain files."""

import hashlib
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labelloop import projects
from labelloop.adapters.files.artifacts import ArtifactFiles
from labelloop.adapters.files.columns import ColumnFiles
from labelloop.adapters.files.folders import ProjectFolders
from labelloop.domain.errors import BadArtifact
from labelloop.ports import Artifacts, ScoreFiles


def project(name: str = "words") -> projects.Project:
    """The least project that there can be."""
    labels = {"kind": "classes", "classes": ["yes", "no"]}
    return projects.parse({"name": name, "labels": labels, "features": {"kind": "text"}})


@settings(deadline=None, max_examples=40)
@given(blob=st.binary(max_size=2_000))
def test_bytes_come_back_by_their_digest(blob: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    """An artifact is known by its SHA-256, and putting it twice keeps one file."""
    home = tmp_path_factory.mktemp("home")
    artifacts: Artifacts = ArtifactFiles(home)
    digest = artifacts.put(blob)
    assert digest == hashlib.sha256(blob).hexdigest() == artifacts.put(blob)
    assert artifacts.get(digest) == blob
    assert len([path for path in home.rglob("*") if path.is_file() and path.name != ".lock"]) == 1


def test_a_damaged_artifact_is_refused_and_can_be_repaired(tmp_path: Path) -> None:
    """One flipped byte is noticed when it is read, not when a model answers nonsense."""
    artifacts = ArtifactFiles(tmp_path)
    digest = artifacts.put(b"a model")
    path = next(path for path in tmp_path.rglob(digest) if path.is_file())
    path.write_bytes(b"a nodel")
    with pytest.raises(BadArtifact, match="damaged") as caught:
        artifacts.get(digest)
    assert caught.value.ids == {"artifact": digest}
    artifacts.put(b"a model")
    assert artifacts.get(digest) == b"a model"


@pytest.mark.parametrize("digest", ["0" * 64, "../../etc/passwd", "", "A" * 64])
def test_an_artifact_that_is_not_there_says_what_to_do(tmp_path: Path, digest: str) -> None:
    """A missing file, and a digest that is none, are told apart from a damaged one."""
    with pytest.raises(BadArtifact, match=r"train again|64 hexadecimal"):
        ArtifactFiles(tmp_path).get(digest)


def test_columns_come_back_by_name_and_shard(tmp_path: Path) -> None:
    """What one process wrote of a shard another reads, and what nobody wrote is None."""
    scores: ScoreFiles = ColumnFiles(tmp_path)
    probabilities = np.random.default_rng(0).random((5, 3)).astype(np.float32)
    scores.write(project(), "model-3", 2, {"margin": np.arange(5.0), "probabilities": probabilities})
    found = ColumnFiles(tmp_path).read(project(), "model-3", 2)
    assert found is not None
    assert found["margin"].tolist() == [0, 1, 2, 3, 4]
    assert np.array_equal(found["probabilities"], probabilities)
    assert scores.read(project(), "model-3", 1) is None
    assert scores.read(project(), "model-4", 2) is None
    assert scores.read(project("others"), "model-3", 2) is None


def test_discard_keeps_what_is_named_and_open_maps(tmp_path: Path) -> None:
    """Old models' columns go, the named ones stay, and who reads a discarded one goes on reading."""
    scores = ColumnFiles(tmp_path)
    for name in ("model-1", "model-2", "model-3"):
        scores.write(project(), name, 0, {"margin": np.arange(1000.0)})
    scores.write(project("others"), "model-1", 0, {"margin": np.zeros(1)})
    old = scores.read(project(), "model-1", 0)
    scores.discard(project(), ["model-3", "model-9"])
    assert scores.read(project(), "model-1", 0) is None
    assert scores.read(project(), "model-2", 0) is None
    assert scores.read(project(), "model-3", 0) is not None
    assert scores.read(project("others"), "model-1", 0) is not None
    assert old is not None
    assert old["margin"].sum() == 499_500
    assert [path.name for path in (tmp_path / "projects" / "words" / "scores").iterdir()] == ["model-3"]


def test_discard_of_a_project_without_scores_does_nothing(tmp_path: Path) -> None:
    """A project that was never scored can be tidied."""
    ColumnFiles(tmp_path).discard(project(), [])
    assert list(tmp_path.iterdir()) == []


def test_columns_of_unequal_length_are_refused(tmp_path: Path) -> None:
    """A row of a shard is one item in every column."""
    with pytest.raises(ValueError, match="equally long"):
        ColumnFiles(tmp_path).write(project(), "model-1", 0, {"a": np.zeros(2), "b": np.zeros(3)})


def test_artifacts_are_dropped_unless_they_are_needed(tmp_path: Path) -> None:
    """What nobody needs goes, what somebody needs and what is unknown is left alone, and again is no error."""
    artifacts = ArtifactFiles(tmp_path)
    kept, gone = artifacts.put(b"kept"), artifacts.put(b"gone")
    for _ in range(2):
        artifacts.drop([kept, gone, "0" * 64], lambda asked: {kept} & set(asked))
    assert artifacts.get(kept) == b"kept"
    with pytest.raises(BadArtifact):
        artifacts.get(gone)
    assert not (tmp_path / "artifacts" / gone[:2]).exists() or gone[:2] == kept[:2]


def test_nobody_puts_bytes_while_it_is_asked_whether_they_are_needed(tmp_path: Path) -> None:
    """Who puts the same bytes meanwhile waits, and finds them gone and writes them again."""
    artifacts = ArtifactFiles(tmp_path)
    digest = artifacts.put(b"same")
    putting = threading.Thread(target=lambda: artifacts.put(b"same"))

    def needed(_asked: object) -> set[str]:
        putting.start()
        putting.join(0.2)
        assert putting.is_alive()
        return set()

    artifacts.drop([digest], needed)
    putting.join()
    assert artifacts.get(digest) == b"same"


def test_a_project_folder_goes_whole_and_its_neighbours_stay(tmp_path: Path) -> None:
    """What an interrupted removal left goes too; projects whose names begin alike are others."""
    for name in ("a/features/x", ".a.0123/scores", "a-b/features", "ab", ".a-b.9/x"):
        (tmp_path / "projects" / name).mkdir(parents=True)
    folders = ProjectFolders(tmp_path)
    folders.remove("a")
    folders.remove("a")
    assert sorted(path.name for path in (tmp_path / "projects").iterdir()) == [".a-b.9", "a-b", "ab"]
    ProjectFolders(tmp_path / "none").remove("a")
