"""Pages whose commands need no service are followed here: files are written, programs and simulations run."""

import json
import re
from pathlib import Path

from following import environment, shell, steps


def test_the_strategy_of_the_page_is_a_plugin_that_can_be_simulated(tmp_path: Path) -> None:
    """The package of the page installs, its strategy is found by its name, replayed, and scores as the page says."""
    todo = steps("docs/how-to/write-a-strategy.md")
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
    assert shell("python alone.py", tmp_path, env) == shown[-2] + shown[-1]


def test_the_simulations_of_the_page_run(tmp_path: Path) -> None:
    """Its files are what the command reads, and every command runs; two seeds and few labels are enough to see."""
    env = environment(tmp_path)
    said = ""
    for step in steps("docs/how-to/compare-before-you-pay.md"):
        if step.file:
            (tmp_path / step.file).write_text(step.text)
        elif step.kind == "sh":
            said += shell(re.sub(r"--seeds \d+ --budget \d+", "--seeds 2 --budget 40", step.text), tmp_path, env)
    assert "over 2 data sets, against random" in said
    assert "bayes/margin" in said
    assert "cost to 95 %" in said
    assert {path.name for path in tmp_path.iterdir()} >= {"curves.png", "curves.pdf", "time.png", "kept"}


def test_a_model_with_guesses_is_compared_with_the_same_without(tmp_path: Path) -> None:
    """The two models of the page are read, and each has its line."""
    said = ""
    for step in steps("docs/how-to/learn-from-unlabeled-items.md"):
        if step.file:
            (tmp_path / step.file).write_text(step.text)
        elif step.kind == "sh":
            said += shell(re.sub(r"--budget \d+", "--budget 40", step.text), tmp_path, environment(tmp_path))
    assert "alone/margin" in said
    assert "guessing/margin" in said
