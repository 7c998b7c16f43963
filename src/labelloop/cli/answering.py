"""Answers for `annotate`: read from JSON, or taken one by one from a person at the keyboard."""

import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from labelloop.domain.errors import Invalid
from labelloop.domain.states import Outcome
from labelloop.domain.types import UNKNOWN_LEASE, Identity, Lease, LeaseOutcome
from labelloop.ports import Ports

AT_ONCE = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """Answers as they were given, and where each stood: `line 3`, or `answer 3` of a list."""

    answers: list[Mapping[str, Any]]
    places: list[str]


def read(file: Path | None) -> Answers:
    """A JSON array (or an object with `annotations`), or one object per line.

    Raises:
        Invalid: not JSON; names the line.
    """
    try:
        text = sys.stdin.read() if file is None or str(file) == "-" else file.read_text(encoding="utf-8")
    except OSError as error:
        raise Invalid(f"{file}: cannot be read ({error.strerror}).") from None
    try:
        whole = json.loads(text)
    except ValueError:
        return _lines(text)
    if isinstance(whole, Mapping):
        if "annotations" not in whole:
            return Answers(answers=[whole], places=["line 1"])
        whole = whole["annotations"]
    if not isinstance(whole, list):
        raise Invalid('Give a list of answers, each {"lease": …, "label": …}.')
    return Answers(answers=whole, places=[f"answer {at}" for at in range(1, len(whole) + 1)])


def _lines(text: str) -> Answers:
    answers, places = [], []
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            try:
                answers.append(json.loads(line))
            except ValueError as error:
                raise Invalid(f"line {number}: is not valid JSON: {error}.") from None
            places.append(f"line {number}")
    return Answers(answers=answers, places=places)


def placed(outcomes: Sequence[LeaseOutcome], given: Answers) -> list[LeaseOutcome]:
    """The outcomes; one without a lease to name it by says where it stood."""
    return [
        one if one.lease else replace(one, reason=f"{place}: {one.reason}")
        for one, place in zip(outcomes, given.places, strict=True)
    ]


def remedy(outcomes: Sequence[LeaseOutcome], who: Identity, *, named: bool) -> str | None:
    """What to do about leases that are not this annotator's: usually they are another's, whom `--as` would name."""
    strange = sum(one.outcome == Outcome.REJECTED and one.reason == UNKNOWN_LEASE for one in outcomes)
    if not strange:
        return None
    found = "lease is" if strange == 1 else "leases are"
    me = f"{who.subject!r}" if named else f"{who.subject!r}, your login name"
    return (
        f"{strange} {found} none of {me}. Were they leased under another name? Then give it: --as NAME. Otherwise they"
        " are over, and a new batch has others."
    )


def by_hand(ports: Ports, name: str, who: Identity) -> None:
    """Show leased items one by one until nothing is left or the person quits; what is left is released."""
    from rich.console import Console

    from labelloop import schema
    from labelloop.loop import lease as leases

    console, rules = Console(highlight=False), schema.of(ports.projects.get(name))
    if rules.controls is not None:
        raise Invalid(f"{name} takes Label Studio results; label it in the browser.")
    keys = {str(place): label for place, label in enumerate(rules.classes, start=1)}
    console.print("  ".join(f"\\[{key}] {label}" for key, label in keys.items()) + r"   \[s] skip  \[q] quit")
    while batch := leases.lease(ports, name, who, AT_ONCE):
        if not batch.leases:
            console.print(f"Nothing to label: {batch.reason}")
            return
        waiting = list(batch.leases)
        try:
            while waiting and _ask(ports, name, who, waiting[0], keys):
                waiting.pop(0)
        finally:
            if waiting:
                leases.release(ports, name, who, [str(one.id) for one in waiting])
        if waiting:
            return


def _ask(ports: Ports, name: str, who: Identity, lease: Lease, keys: Mapping[str, str]) -> bool:
    """One item. False: the person quits."""
    from rich.console import Console
    from rich.panel import Panel
    from rich.text import Text

    from labelloop.loop import annotate
    from labelloop.loop import lease as leases

    console, shown_at = Console(highlight=False), time.monotonic()
    console.print(Panel(Text("\n".join(f"{key}: {value}" for key, value in lease.data.items())), title=str(lease.lane)))
    while True:
        try:
            said = console.input("> ").strip()
        except (EOFError, KeyboardInterrupt):
            return False
        if said == "q":
            return False
        if said == "s":
            leases.skip(ports, name, who, [str(lease.id)])
            return True
        label = keys.get(said, said)
        if label in keys.values():
            seconds = round(time.monotonic() - shown_at, 3)
            answer = {"lease": str(lease.id), "label": label, "seconds": seconds}
            outcomes, _ = annotate.annotate(ports, name, who, [answer])
            console.print(Text(f"{outcomes[0].outcome} {outcomes[0].reason or ''}", style="dim"))
            return True
        console.print(f"Type 1 to {len(keys)}, a class, s or q.")
