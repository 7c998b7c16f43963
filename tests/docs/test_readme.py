"""The README's commands and code are run as they stand there, on a service of their own."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from following import ROOT, environment, shell, steps, up
from sklearn.datasets import load_digits

from labelloop.client import Client

README = (ROOT / "README.md").read_text()


def typed() -> list[str]:
    """The commands of the console block, in order, without their remarks."""
    block = next(step.text for step in steps("README.md") if step.kind == "console")
    return [line.removeprefix("$ ").split("  #")[0].strip() for line in block.splitlines()]


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path, dict[str, str]]]:
    """The console block, typed in a checkout; gives the service's address, its folder and the environment."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / "configs").symlink_to(ROOT / "configs")
    env = environment(folder)
    *before, last = typed()
    for command in before:
        shell(command, folder, env)
    with up(last, folder, env) as url:
        yield url, folder, env


@pytest.mark.slow
def test_the_python_block_labels_a_batch_and_the_cycle_ends_with_a_code_of_the_table(started):
    """Repeated to fifty labels, the block makes labels that count, and `retrain --wait` ends with 0 or 3."""
    url, folder, env = started
    block = next(step.text for step in steps("README.md") if step.kind == "python")
    keys = json.loads((folder / ".labelloop" / "keys.json").read_text())
    truth = {picture.tobytes(): str(digit) for picture, digit in zip(*_pictures(), strict=True)}
    known = {"key": keys["annotator"], "ask_somebody": lambda data: truth[_bytes(data["image"])]}
    program = block.replace("http://127.0.0.1:8321", url)
    assert program != block
    with Client(url, keys["admin"]) as client:
        client.wait(client.request_round("digits"), timeout=60)
        for _ in range(5):
            exec(program, known)
            known["client"].close()
        assert client.project("digits")["items"]["counts"]["leased"] == 0
        assert client.project("digits")["budget"]["spent"] == 50
    command = re.search(r"`(labelloop retrain digits --wait)`", README)[1]
    said = shell(f"{command} --json || [ $? -eq 3 ]", folder, env)
    assert json.loads(said)["model"]["state"] in {"champion", "refused"}


@pytest.mark.slow
@pytest.mark.skipif("LABELLOOP_DATA" not in os.environ, reason="LABELLOOP_DATA is not set: the SMS are no package")
def test_the_simulation_of_the_readme_runs(tmp_path):
    """The strategies it names are compared on the project it names; two seeds and forty labels are enough to see."""
    command = re.search(r"`(labelloop simulate sms_spam --strategies [\w,]+)`", README)[1]
    said = shell(f"{command} --seeds 2 --budget 40 --json", tmp_path, environment(tmp_path))
    assert list(json.loads(said)["strategies"]) == command.split()[-1].split(",")


def test_targets_of_make_that_the_readme_names_exist():
    """`make demo` and the others are targets; the demo itself is run by tests/e2e."""
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"make ([a-z]+)", README)) <= targets


def _pictures():
    digits = load_digits()
    return digits.images.astype("uint8"), digits.target


def _bytes(rows):
    import numpy as np

    return np.asarray(rows).astype("uint8").tobytes()
