"""The chaos program: its checker finds every kind of broken promise, and a short storm breaks none."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from chaos_check import Ledger, Told, check, stranded

ROOT = Path(__file__).parents[2]
SAID = Told(annotator="anna", lease=1, item=0, label="up", outcome="accepted", key="k", at=1.0)
TRUE = Ledger(
    annotations={(0, "anna"): {"label": "up", "counted": 1, "assignment": 1}},
    assignments={1: {"item": 0, "annotator": "anna", "leased_at": 0.0, "ended_at": 1.0}},
    items={0: {"state": "resolved", "needed": 1, "votes": 1}},
    cap=1,
)


def annotations(**row):
    return {(0, "anna"): {"label": "up", "counted": 1, "assignment": 1} | row}


def test_a_true_history_is_clean():
    """What was told is what is there, said once or twice under one key."""
    assert check([SAID, SAID], TRUE).clean
    assert stranded(TRUE) == []


@pytest.mark.parametrize(
    "told,ledger,part",
    [
        ([SAID], replace(TRUE, annotations={}), "lost"),
        ([SAID], replace(TRUE, annotations=annotations(label="down")), "lost"),
        ([SAID], replace(TRUE, annotations=annotations(counted=0)), "lost"),
        ([replace(SAID, outcome="surplus")], TRUE, "lost"),
        ([SAID, replace(SAID, lease=2, key="other")], TRUE, "doubled"),
        ([SAID, replace(SAID, outcome="duplicate")], TRUE, "doubled"),
        (
            [SAID],
            replace(
                TRUE,
                annotations=TRUE.annotations | {(0, "ben"): {"label": "up", "counted": 1, "assignment": 2}},
            ),
            "over_cap",
        ),
        (
            [SAID],
            replace(
                TRUE,
                assignments=TRUE.assignments | {2: {"item": 0, "annotator": "ben", "leased_at": 0.5, "ended_at": 3.0}},
            ),
            "doubled",
        ),
    ],
)
def test_each_broken_promise_is_found(told, ledger, part):
    """A lost, changed or uncounted answer, two replies under one key, a vote too many, two holders at once."""
    verdict = check(told, ledger)
    assert getattr(verdict, part)
    assert not verdict.clean


def test_an_item_nobody_can_get_is_stranded():
    """After everybody asked until nothing was left, an open item is a broken promise."""
    open_item = {0: {"state": "pooled", "needed": 1, "votes": 0}}
    assert stranded(replace(TRUE, items=open_item)) == ["item 0 is pooled"]


@pytest.mark.slow
def test_a_short_storm_breaks_no_promise(tmp_path):
    """Half a minute of 32 annotators under kills of every process: nothing lost, doubled, over its cap or stranded."""
    command = [sys.executable, "benchmarks/chaos.py", "--minutes", "0.35", "--every", "1.2", "--keep", str(tmp_path)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=250, check=False, env={**os.environ, "CI": ""}
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    facts = json.loads(done.stdout.splitlines()[-1])
    assert facts["kills"] >= 8
    assert facts["acknowledged"] > 500
    assert [facts[part] for part in ("lost", "doubled", "over_cap", "stranded", "not_conserved")] == [0] * 5
