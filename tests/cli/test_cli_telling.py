"""What `labelloop project show` says in words below its table."""

import json
from pathlib import Path

from conftest import PROJECT
from terminal import Command

from labelloop.cli import telling
from labelloop.loop.plan import plan
from labelloop.ports import Ports


def shown(cli: Command, name: str) -> str:
    """The words on one line."""
    return " ".join(cli("project", "show", name).out.split())


def test_nothing_is_told_where_there_is_nothing_to_tell(cli: Command, mail: str) -> None:
    """No overlap and no model: no sentence, and JSON that says so."""
    assert "Agreement" not in shown(cli, mail)
    assert "Stability" not in shown(cli, mail)
    found = cli("project", "show", mail, "--json").json
    assert (found["stability"], found["agreement"]["items"]) == (None, 0)


def test_agreement_is_told_in_words(cli: Command, tmp_path: Path, ports: Ports) -> None:
    """Two people, one mail that they see otherwise: how many agree, and which classes are confused."""
    (tmp_path / "two.toml").write_text(PROJECT.replace("[items]", "[votes]\nneeded = 2\ncap = 2\n[items]"))
    (tmp_path / "two.jsonl").write_text(
        "\n".join(json.dumps({"key": f"m{n}", "data": {"text": f"number {n}"}}) for n in range(10))
    )
    cli("project", "create", tmp_path / "two.toml")
    cli("ingest", "mail", tmp_path / "two.jsonl")
    plan(ports, "mail", lambda _part, _what: None)
    for name in ("anna", "ben"):
        leases = cli("lease", "mail", "--count", 10, "--as", name, "--json").json["leases"]
        answers = [
            {"lease": one["lease"], "label": "spam" if one["key"] < ("m4", "m5")[name == "ben"] else "ham"}
            for one in leases
        ]
        (tmp_path / "a.json").write_text(json.dumps(answers))
        assert cli("annotate", "mail", tmp_path / "a.json", "--as", name).code == 0
    said = shown(cli, "mail")
    assert "on 10 items with two votes or more, 90 of 100 pairs of votes are of one class" in said
    assert "alpha 0.8" in said
    assert "Confused most, in pairs of votes: spam against ham (1)." in said
    assert cli("project", "show", "mail", "--json").json["agreement"]["confused"][0]["pairs"] == 1


def test_stability_is_told_in_words() -> None:
    """One line of what the last training changed, and a second when three changed hardly anything."""
    found = {"kappa": 0.97, "changed": 0.018, "rows": 20_000, "since": 3, "model": 4, "stabilised": False}
    report = {"agreement": None, "stability": found}
    agreement, changed = telling.sentences(report)
    assert "cannot be compared" in agreement
    assert "model 4 puts 1.8 of 100 waiting items into another class than model 3 did" in changed
    *_, last = telling.sentences({**report, "stability": {**found, "stabilised": True}})
    assert "hardly changed over three trainings" in last
    assert "learning curve" in last
