"""What all tests share: no test may be skipped in CI, and nothing of the caller's environment leaks in."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SKIPPED: list[str] = []


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A developer's LABELLOOP_ variables must not decide how a test ends; the data sets are the exception."""
    for name in list(os.environ):
        if name.startswith("LABELLOOP_") and name != "LABELLOOP_DATA":
            monkeypatch.delenv(name)
    return


ALONE = ("dispatch", "docs", "e2e", "page", "workers")
"""Folders whose tests start whole services, kill them or watch the clock: a busy machine would change what they see."""
BESIDE = ("docs/test_pages_of_commands.py", "docs/test_reference.py", "e2e/test_demo_judgement.py")
"""Modules of these folders that start no service."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what must run by itself, and leave out tests of a GPU where there is none: no gap in what CI proves."""
    for item in items:
        inside = item.path.relative_to(HERE)
        if inside.parts[0] in ALONE and inside.as_posix() not in BESIDE:
            item.add_marker("alone")
    if any(item.get_closest_marker("gpu") for item in items):
        import torch

        if not torch.cuda.is_available():
            config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("gpu")])
            items[:] = [item for item in items if not item.get_closest_marker("gpu")]


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note what was skipped, for the end; data sets are no package, so where there are none it is no hole."""
    no_data = "LABELLOOP_DATA" in str(report.longrepr) and "LABELLOOP_DATA" not in os.environ
    if report.skipped and not hasattr(report, "wasxfail") and not no_data:
        SKIPPED.append(report.nodeid)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """In CI everything that can be installed is installed: a skipped test is a hole."""
    if os.environ.get("CI") and SKIPPED and session.exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: "pytest.TerminalReporter") -> None:
    """Say which skipped tests failed the run."""
    if os.environ.get("CI") and SKIPPED:
        terminalreporter.section("skipped in CI: counted as failures", red=True)
        for nodeid in SKIPPED:
            terminalreporter.line(nodeid)
