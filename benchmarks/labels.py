"""How few labels each way of asking needs: eleven sets, our strategies, and the peers' by their own code.

Every (set, strategy, seed) is one file in the cache, so a run that was stopped goes on where it was, and a longer run
plays only what is missing. Everything is played by the code that serves people (`loop.compose`, `loop.train`); the
audit lane is left out for all. Sets are read from $LABELLOOP_DATA.

    python benchmarks/labels.py [--sets sms,mnist] [--arms default,margin] [--seeds N] [--cache FOLDER]
    python benchmarks/labels.py --cached --arms all    # of what was played so far; plays the two yardsticks at most
    python benchmarks/labels.py --docs    # the tables and the picture of docs/explanation/labels.md
"""

import argparse
import json
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import labels_arms
import labels_page
import labels_peers
import labels_play as play
import labels_score as score
import labels_sets as sets
import report

CACHE = Path(__file__).parents[1] / "build" / "labels"
SHOWN = ("set", "arm", "seeds", "full", "area", "gain", "beyond_default", "of_best", "to_90", "to_95", "to_98",
         "to_random", "saving")  # fmt: skip
"""Columns of the table for people; intervals and curves are in the result's `details`."""
USUAL = ("random", labels_arms.DEFAULT, "auto", "margin")


def main() -> None:
    """Play what is missing and report all that was asked for."""
    options = _options()
    if options.docs:
        labels_page.write(json.loads((report.RESULTS / "labels.json").read_text(encoding="utf-8")))
        return
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    warnings.simplefilter("ignore")
    labels_peers.announce(options.cache)
    known = labels_arms.arms()
    rows: list[dict[str, Any]] = []
    for name in options.sets:
        rows += _measured(options, name, [known[arm] for arm in options.arms])
    details = report.merged("labels", rows, ("set", "arm"), part="details") if options.keep else rows
    details = score.compared(details, default=labels_arms.DEFAULT)
    short = [{key: row.get(key) for key in SHOWN} for row in details]
    report.finish("labels", short, packages=("scikit-activeml", "small-text"), details=details)


def _measured(options: argparse.Namespace, name: str, arms: list[play.Arm]) -> list[dict[str, Any]]:
    """A row for each arm of a set; what cannot be played is told and left out."""
    cache, case, full = options.cache, sets.case(name), play.full(options.cache, name)
    final = [play.curve(cache, name, play.final(name), seed)["scores"][-1] for seed in range(min(options.seeds, 3))]
    target = sum(final) / len(final)
    curves = {arm.name: list(_curves(options, name, arm)) for arm in arms}
    for arm, played in curves.items():
        if played:
            print(f"{name}, {arm}: {len(played)} seeds", flush=True)
    return score.rows(name, case, curves, full=full, target=target)


def _curves(options: argparse.Namespace, name: str, arm: play.Arm) -> Iterator[dict[str, Any]]:
    """The curves of the first seeds, up to the first that is missing and cannot or shall not be played."""
    for seed in range(options.seeds):
        known = play.cached(options.cache, name, arm, seed)
        if known is None and options.cached:
            return
        try:
            yield known or play.curve(options.cache, name, arm, seed)
        except Exception as error:  # noqa: BLE001 - a peer that breaks must not stop the others
            print(f"{name}, {arm.name}, seed {seed}: {type(error).__name__}: {error}", flush=True)
            return


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=_names, default=list(sets.CASES), help=f"of {', '.join(sets.CASES)}")
    parser.add_argument("--arms", type=_names, default=list(USUAL), help="names, with semicolons between them, or all")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--cache", type=Path, default=Path(os.environ.get("LABELLOOP_BENCHMARK_CACHE", CACHE)))
    parser.add_argument("--cached", action="store_true", help="only curves that were played before")
    parser.add_argument("--keep", action="store_true", help="keep the other rows of results/labels.json")
    parser.add_argument("--docs", action="store_true", help="write the page from the result; play nothing")
    options = parser.parse_args()
    if options.arms == ["all"]:
        options.arms = list(labels_arms.arms())
    return options


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(";" if ";" in text else ",") if name.strip()]


if __name__ == "__main__":
    main()
