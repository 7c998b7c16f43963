"""The pages that people follow step by step are followed here: each file written, each block run, on a real service.

A block whose HTML comment says `not run` is left out, and one without a comment or with another is run as it stands.
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from labelloop.client import Client

DOCS = Path(__file__).parents[2] / "docs"
SECONDS = 60
STEP = re.compile(
    r"(?:<!-- (?P<note>[^\n]+?) -->\n)?```(?P<kind>\w+)\n(?P<text>.*?)```|<!-- page: (?P<page>\d+) ", re.DOTALL
)


@dataclass(frozen=True, kw_only=True)
class Step:
    """A fenced block of a page, or a thing to do in the browser."""

    note: str
    kind: str
    text: str

    @property
    def file(self) -> str | None:
        """The file that the block is to be saved as."""
        return self.note.removeprefix("file: ") if self.note.startswith("file: ") else None


def steps(page: str) -> list[Step]:
    """All steps of a page that are done, in order."""
    found = []
    for match in STEP.finditer((DOCS / page).read_text()):
        if match["page"]:
            found.append(Step(note="", kind="page", text=match["page"]))
        elif not (match["note"] or "").startswith("not run"):
            found.append(Step(note=match["note"] or "", kind=match["kind"], text=match["text"]))
    return found


def environment(folder: Path) -> dict[str, str]:
    """As in a shell whose virtual environment is active; the port is a free one."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "LABELLOOP_PORT": str(port), "LABELLOOP_HOME": str(folder / ".labelloop")}


def shell(text: str, folder: Path, env: dict[str, str]) -> str:
    """Run a block as a person would type it; a line that fails fails the test."""
    command = ["bash", "-eo", "pipefail", "-c", text]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@contextmanager
def up(command: str, folder: Path, env: dict[str, str]) -> Iterator[str]:
    """The service in the background, as in another terminal; gives its address, and ends it as Ctrl-C does."""
    log = folder / "up.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            ["bash", "-c", f"exec {command.strip()}"], cwd=folder, env=env, stdout=out, stderr=out
        )
    try:
        deadline = time.monotonic() + SECONDS
        while not (found := re.search(r"labelloop is up at (\S+)", log.read_text())):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        yield found[1]
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(SECONDS)


def label_on_the_page(url: str, folder: Path, count: int) -> None:
    """What a person does in the browser, by the calls that the page makes; waits for the model that comes of it."""
    keys = json.loads((folder / ".labelloop" / "keys.json").read_text())
    deadline = time.monotonic() + SECONDS
    with Client(url, keys["annotator"]) as client:
        while count:
            assert time.monotonic() < deadline, "the queue stayed empty"
            for lease in client.lease("reviews", count):
                wish = re.search("wish|please|could|would", lease.data["text"], re.IGNORECASE)
                client.annotate("reviews", [{"lease": lease.lease, "label": "wish" if wish else "bug"}])
                count -= 1
            time.sleep(0.1)
    with Client(url, keys["admin"]) as client:
        while client.models("reviews")["champion"] is None:
            assert time.monotonic() < deadline, client.project("reviews")
            time.sleep(0.1)


@dataclass(frozen=True, kw_only=True)
class Story:
    """The tutorial, followed up to the start of the service, which runs."""

    url: str
    folder: Path
    env: dict[str, str]
    rest: list[Step]

    def shell(self, text: str) -> str:
        """Run a block where the reader is."""
        return shell(text, self.folder, self.env)


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """The tutorial's service, on its port and in its folder; other pages use it, too."""
    folder = tmp_path_factory.mktemp("reviews")
    env, todo = environment(folder), steps("tutorial/first-project.md")
    start = next(at for at, step in enumerate(todo) if step.note == "background")
    said = ""
    for step in todo[:start]:
        if step.file:
            (folder / step.file).write_text(step.text)
        elif step.kind == "sh":
            said += shell(step.text, folder, env)
    assert "40 received, 40 added, 0 duplicates, 0 invalid" in said
    with up(todo[start].text, folder, env) as url:
        yield Story(url=url, folder=folder, env=env, rest=todo[start + 1 :])


def test_the_tutorial_leads_to_a_trained_model_and_labels(story: Story) -> None:
    """Its files and commands in their order, on a fresh service, end with two models and the labels in a file."""
    said = ""
    for step in story.rest:
        if step.file:
            (story.folder / step.file).write_text(step.text)
        elif step.kind == "page":
            label_on_the_page(story.url, story.folder, int(step.text))
        elif step.kind == "sh":
            said += story.shell(step.text)
    assert "the first healthy model" in said
    assert re.search(r"Model \d+: champion", said), said
    assert len((story.folder / "labels.csv").read_text().splitlines()) == 1 + 17


def test_the_python_of_pulling_batches_says_what_the_page_says(story: Story, tmp_path: Path) -> None:
    """All blocks as one program, with a key made as the page says, print what stands beside them."""
    key = story.shell("labelloop key create --subject robot --role engineer").strip()
    todo = steps("how-to/pull-batches-from-python.md")
    program = "\n".join(step.text for step in todo if step.kind == "python")
    shown = "".join(step.text for step in todo if step.kind == "text")
    (tmp_path / "page.py").write_text(program)
    said = shell("python page.py", tmp_path, {**story.env, "LABELLOOP_URL": story.url, "LABELLOOP_KEY": key})
    assert said == shown


def test_the_strategy_of_the_page_is_a_plugin_that_can_be_simulated(tmp_path: Path) -> None:
    """The package of the page installs, its strategy is found by its name, replayed, and scores as the page says."""
    todo = steps("how-to/write-a-strategy.md")
    for step in todo:
        if step.file:
            (tmp_path / step.file).parent.mkdir(exist_ok=True)
            (tmp_path / step.file).write_text(step.text)
    offline = "--quiet --no-index --no-deps --no-build-isolation --disable-pip-version-check"
    shell(f"python -m pip install {offline} --target site ./mine", tmp_path, environment(tmp_path))
    env = {**environment(tmp_path), "PYTHONPATH": str(tmp_path / "site")}
    for step in todo:
        if step.kind == "sh":
            said = shell(f"{step.text.strip()} --json", tmp_path, env)
            assert set(json.loads(said)["strategies"]) >= {"random"}, said
    (tmp_path / "alone.py").write_text("\n".join(s.text for s in todo if s.kind == "python" and not s.file))
    shown = [step.text for step in todo if step.kind == "text"]
    assert shell("python alone.py", tmp_path, env) == shown[-1]
