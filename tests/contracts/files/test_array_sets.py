"""Sets of arrays and single files: whole or not at all, whoever is killed and whoever reads meanwhile."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from threading import Event, Thread

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from labelloop.disk import arrays, durable

DTYPES = st.sampled_from([np.float32, np.float64, np.int32, np.int64, np.uint8, np.bool_])


@settings(deadline=None, max_examples=40)
@given(data=st.data(), count=st.integers(1, 4))
def test_what_is_saved_is_read_back(data: st.DataObject, count: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Every array comes back with its type, shape and bytes, empty ones too."""
    shapes = hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=5)
    made = {f"part{place}": data.draw(hnp.arrays(data.draw(DTYPES), data.draw(shapes))) for place in range(count)}
    folder = tmp_path_factory.mktemp("sets")
    arrays.save(folder, "one", made, notes={"rows": 3})
    found = arrays.read(folder, "one")
    assert found is not None
    assert found.notes == {"rows": 3}
    assert set(found.arrays) == set(made)
    for name, array in made.items():
        assert found.arrays[name].dtype == array.dtype
        assert found.arrays[name].shape == array.shape
        assert found.arrays[name].tobytes() == array.tobytes()


def test_arrays_are_mapped_and_cannot_be_written(tmp_path: Path) -> None:
    """A reader costs no memory and cannot harm what others read."""
    arrays.save(tmp_path, "one", {"a": np.arange(10)})
    found = arrays.read(tmp_path, "one")
    assert found is not None
    assert isinstance(found.arrays["a"], np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        found.arrays["a"][0] = 1


def test_an_old_map_outlives_its_replacement(tmp_path: Path) -> None:
    """Who reads the old version goes on reading it; only one version stays on the disk."""
    arrays.save(tmp_path, "one", {"a": np.zeros(1000)})
    old = arrays.read(tmp_path, "one")
    arrays.save(tmp_path, "one", {"a": np.ones(1000)})
    new = arrays.read(tmp_path, "one")
    assert old is not None
    assert new is not None
    assert old.version != new.version
    assert (old.arrays["a"] == 0).all()
    assert (new.arrays["a"] == 1).all()
    assert len([entry for entry in tmp_path.iterdir() if entry.is_dir()]) == 1


def test_a_reader_never_sees_two_versions_mixed(tmp_path: Path) -> None:
    """Two columns that are always saved equal are always read equal, while a writer replaces them."""
    arrays.save(tmp_path, "one", {"a": np.full(50, -1), "b": np.full(50, -1)})
    stop = Event()

    def write() -> None:
        for turn in range(150):
            arrays.save(tmp_path, "one", {"a": np.full(50, turn), "b": np.full(50, turn)})
        stop.set()

    writer = Thread(target=write)
    writer.start()
    seen = set()
    while not stop.is_set():
        found = arrays.read(tmp_path, "one")
        assert found is not None
        assert np.array_equal(found.arrays["a"], found.arrays["b"])
        seen.add(int(found.arrays["a"][0]))
    writer.join()
    assert len(seen) > 1


def test_a_killed_writer_leaves_a_whole_set_and_blocks_nobody(tmp_path: Path) -> None:
    """Kill -9 at any moment: the set is readable, consistent, and the next save works and cleans up."""
    program = (
        "import sys, numpy as np; from pathlib import Path; from labelloop.disk import arrays\n"
        "turn = 0\n"
        "while True:\n"
        "    turn += 1\n"
        "    arrays.save(Path(sys.argv[1]), 'one', {'a': np.full(20000, turn), 'b': np.full(20000, turn)})\n"
        "    print(turn, flush=True)\n"
    )
    for wait in (1, 3, 6):
        writer = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        for _ in range(wait):
            assert writer.stdout.readline()
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        found = arrays.read(tmp_path, "one")
        assert found is not None
        assert len(np.unique(np.concatenate([found.arrays["a"], found.arrays["b"]]))) == 1
    arrays.save(tmp_path, "one", {"a": np.zeros(1)})
    assert len([entry for entry in tmp_path.iterdir() if entry.is_dir()]) == 1


@pytest.mark.parametrize("name", ["../out", "a/b", "", ".hidden", "a\0b"])
def test_a_name_cannot_leave_the_folder(tmp_path: Path, name: str) -> None:
    """Names become files, so they may not be paths."""
    with pytest.raises(ValueError, match="cannot be the name"):
        arrays.save(tmp_path, name, {"a": np.zeros(1)})
    with pytest.raises(ValueError, match="cannot be the name"):
        arrays.save(tmp_path, "one", {name: np.zeros(1)})


def test_objects_are_refused_and_the_old_set_stays(tmp_path: Path) -> None:
    """Python objects would be pickled; nothing is, and a failed save changes nothing."""
    arrays.save(tmp_path, "one", {"a": np.arange(3)})
    with pytest.raises(ValueError, match="allow_pickle"):
        arrays.save(tmp_path, "one", {"a": np.arange(4), "b": np.array([object()])})
    found = arrays.read(tmp_path, "one")
    assert found is not None
    assert list(found.arrays) == ["a"]
    assert found.arrays["a"].tolist() == [0, 1, 2]


def test_a_failed_write_leaves_the_old_file_and_no_draft(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk costs the new bytes only."""
    path = tmp_path / "file"
    durable.write(path, b"old")

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        durable.write(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
