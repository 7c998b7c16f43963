"""Claims on jobs: seen as long as their process lives, and known to be dropped as soon as it does not."""

import subprocess
import sys
from pathlib import Path

import pytest

from labelloop.adapters.files.claims import ClaimFiles
from labelloop.domain.types import JobId

JOB = JobId("plan-p-1")
HOLDER = """
import sys, time
from pathlib import Path
from labelloop.adapters.files.claims import ClaimFiles
with ClaimFiles(Path(sys.argv[1])).hold("plan-p-1", 2) as ours:
    print(ours, flush=True)
    time.sleep(60)
"""


def test_a_claim_is_dropped_when_its_process_is_killed(tmp_path: Path) -> None:
    """While it runs nobody else gets the attempt and nobody takes it for dead; after kill -9 it is known at once."""
    claims = ClaimFiles(tmp_path)
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, tmp_path], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    with holder.stdout as said:
        assert said.readline() == "True\n"
        assert not claims.dropped(JOB, 2)
        with claims.hold(JOB, 2) as ours:
            assert not ours
        assert not claims.dropped(JOB, 2)
        holder.kill()
        holder.wait()
    assert claims.dropped(JOB, 2)


def test_what_is_over_or_never_was_is_not_dropped(tmp_path: Path) -> None:
    """A finished attempt leaves nothing behind; of one that ran where we cannot see, nothing is said."""
    claims = ClaimFiles(tmp_path)
    with claims.hold(JOB, 1) as ours:
        assert ours
    assert not claims.dropped(JOB, 1)
    assert not claims.dropped(JOB, 9)
    assert list((tmp_path / "claims").iterdir()) == []


def test_a_claim_ends_with_an_error_too(tmp_path: Path) -> None:
    """A job that fails gives its claim up like one that succeeds, and the attempt may be claimed again."""
    claims = ClaimFiles(tmp_path)
    with pytest.raises(ZeroDivisionError), claims.hold(JOB, 1):
        _ = 1 / 0
    with claims.hold(JOB, 1) as ours:
        assert ours


def test_whether_a_project_has_a_worker_is_seen_and_dead_claims_go(tmp_path: Path) -> None:
    """Only a living process counts, and only on this project: names that begin alike are others."""
    claims = ClaimFiles(tmp_path)
    assert not claims.held("p")
    for dead in ("train-p-1-1.lock", "plan-p-P7-2-1.lock", "plan-p-2-3-1.lock", "plan-p-2-x-1.lock"):
        (tmp_path / "claims").mkdir(exist_ok=True)
        (tmp_path / "claims" / dead).touch()
    with claims.hold(JobId("map-p-7"), 1), claims.hold(JobId("map-p-P9-7"), 1):
        assert claims.held("p")
        assert not claims.held("p-2")
        assert not claims.held("map-p")
    with claims.hold(JobId("plan-other-p-1"), 1):
        assert not claims.held("p")
    assert [path.name for path in (tmp_path / "claims").iterdir()] == ["plan-p-2-x-1.lock"]
