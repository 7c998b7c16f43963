"""The benchmark of choosing: that it measures what it says, on a pool small enough for a test."""

import json
import sys

import acquisition
import acquisition_peers


def test_every_rule_and_every_installed_library_is_measured(tmp_path, monkeypatch, capsys):
    """Each rule gives a row of ours, each library that knows it another, all with CPU, memory and passes."""
    rules = ["margin", "bald", "max_disagreement", "expected_cost", "k_center", "badge"]
    arguments = ["--rows", "600", "--limit", "5", "--results", str(tmp_path), "--only", *rules]
    monkeypatch.setattr(sys, "argv", ["acquisition.py", *arguments])
    acquisition.main()
    assert "margin" in capsys.readouterr().out
    result = json.loads((tmp_path / "acquisition.json").read_text())
    ours = [row for row in result["rows"] if row["library"] == "labelloop"]
    assert [row["rule"] for row in ours] == rules
    assert all(row["passes"] > 0 and row["extra_mb"] >= 0 for row in ours)
    measured = {(row["rule"], row["library"]) for row in result["rows"] if "cpu_s" in row}
    for library in ("modAL", "scikit-activeml"):
        known = acquisition_peers.peers()[library]
        assert {(rule, library) for rule in rules if rule in known} <= measured
    assert not [row for row in result["rows"] if "Error" in row.get("note", "")]


def test_what_would_take_too_long_is_not_run():
    """The time of a tenth of the pool, ten times, is over the limit; the row says so in place of a number."""
    before = [{"rule": "badge", "library": "slow", "dims": 64, "batch": 100, "rows": 1_000, "cpu_s": 3.0}]
    row = {"rule": "badge", "library": "slow", "dims": 64, "batch": 100, "rows": 10_000}
    assert acquisition._expected(row, before) == 30
    assert acquisition._expected(row | {"library": "new"}, before) == 0
    stopped = [{**before[0], "note": "stopped after 5 s"}]
    del stopped[0]["cpu_s"]
    assert acquisition._expected(row, stopped) == float("inf")
