"""A simulated annotator against a real service."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from serving import Service, running

from labelloop.client import Client
from labelloop.demo.oracle import Habits, Oracle
from labelloop.domain.states import Role
from labelloop.loop.resolve import resolve

CLASSES = ("good", "bad", "odd")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("home")) as found:
        yield found


def _work(service: Service, project: str, habits: Habits, seed: int = 0, name: str = "anna") -> dict[str, int]:
    """Let an oracle work until the budget is spent; returns what the service counted of it."""
    truth = {f"k{number}": CLASSES[number % 3] for number in range(200)}
    with Client(service.url, service.key(Role.ANNOTATOR, subject=name)) as client:
        Oracle(client, project, truth, habits=habits, rng=np.random.default_rng(seed)).work()
        return client.annotator(project)


def _right(service: Service, project: str) -> float:
    resolve(service.ports, project)
    rows = list(service.ports.verdicts.export(project))
    return sum(row["label"] == CLASSES[int(row["key"][1:]) % 3] for row in rows) / len(rows)


def test_an_oracle_spends_the_budget_and_goes_home(service: Service) -> None:
    """It ends by itself, exactly at the budget, and a perfect one is always right."""
    project = service.project(items=60, stop={"budget": 40})
    counted = _work(service, project, Habits(accuracy=1.0, think=0.0, skip=0.0))
    assert counted["accepted"] == 40
    assert _right(service, project) == 1.0


def test_it_errs_at_its_rate_and_skips(service: Service) -> None:
    """With accuracy 0.6 about that many of 150 answers are right, and some items are passed over."""
    project = service.project(items=200, stop={"budget": 150})
    counted = _work(service, project, Habits(accuracy=0.6, think=0.0, skip=0.1))
    assert counted["accepted"] == 150
    assert counted["skipped"] > 0
    assert 0.45 < _right(service, project) < 0.75  # four standard deviations around 0.6


def test_a_batch_it_walks_away_from_comes_back(service: Service) -> None:
    """Abandoned leases run out and are asked again, so the budget is spent all the same."""
    project = service.project(items=40, stop={"budget": 30}, lease={"seconds": 1})
    counted = _work(service, project, Habits(accuracy=1.0, think=0.0, skip=0.0, abandon=0.3))
    assert counted["accepted"] + counted["late"] == 30


def test_the_command_of_the_worker_needs_an_address(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without LABELLOOP_URL it says which variables to set."""
    from labelloop_workers import oracle

    (tmp_path / "truth.json").write_text("{}")
    monkeypatch.setattr("sys.argv", ["oracle", "--project", "p", "--truth", str(tmp_path / "truth.json")])
    with pytest.raises(SystemExit, match="LABELLOOP_URL and LABELLOOP_KEY"):
        oracle.main()
