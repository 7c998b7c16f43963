"""The pages that people follow step by step are followed here: each file written, each block run, on a real service."""

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from following import ROOT, SECONDS, Step, environment, shell, steps, up

from labelloop.client import Client


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
    env, todo = environment(folder), steps("docs/tutorial/first-project.md")
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
    assert len((story.folder / "rest.csv").read_text().splitlines()) == 1 + 23


def test_the_page_on_predictions_has_the_columns_that_come(story: Story) -> None:
    """Its command writes the rest of the pool; the table of the page names each column, and no other."""
    (command,) = [step.text for step in steps("docs/how-to/label-the-rest-by-machine.md") if step.kind == "sh"]
    story.shell(command)
    story.shell("labelloop predict reviews --probabilities -o all.csv")
    page = (ROOT / "docs/how-to/label-the-rest-by-machine.md").read_text()
    table = re.findall(r"^\| (`.*?`) \|", page, re.MULTILINE)
    columns = (story.folder / "all.csv").read_text().splitlines()[0].split(",")
    assert sorted(re.findall("`([a-z_]+)`", "".join(table))) == sorted(columns)
    assert (story.folder / "rest.csv").read_text().splitlines()[0].split(",") == columns[:-1]


def test_the_python_of_pulling_batches_says_what_the_page_says(story: Story, tmp_path: Path) -> None:
    """All blocks as one program, with a key made as the page says, print what stands beside them."""
    key = story.shell("labelloop key create --subject robot --role engineer").strip()
    todo = steps("docs/how-to/pull-batches-from-python.md")
    program = "\n".join(step.text for step in todo if step.kind == "python")
    shown = "".join(step.text for step in todo if step.kind == "text")
    (tmp_path / "page.py").write_text(program)
    said = shell("python page.py", tmp_path, {**story.env, "LABELLOOP_URL": story.url, "LABELLOOP_KEY": key})
    assert said == shown


def test_the_page_on_changes_changes_the_project_that_runs(story: Story) -> None:
    """There, back again, and on with a class more: its commands say what stands beside them."""
    todo = steps("docs/how-to/change-a-project.md")
    said = "".join(story.shell(f"exec 2>&1\n{step.text}") for step in todo if step.kind == "sh")
    for step in todo:
        for line in step.text.splitlines() if step.kind == "text" else ():
            if line[:1] not in {"┃", "│"}:
                assert line in said
            elif "20" not in line:  # other than those with a date, which is another one here
                assert re.search(r"\s*".join(map(re.escape, line.split())), said), line
    editions = json.loads(story.shell("labelloop project history reviews --json"))
    assert [one["edition"] for one in editions] == [4, 3, 2, 1]
    assert json.loads(story.shell("labelloop project file reviews"))["labels"]["classes"] == ["bug", "wish", "praise"]
