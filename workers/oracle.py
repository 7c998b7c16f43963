"""The oracle: a simulated annotator who knows the truth, errs and rests at set rates, and works over HTTP like anyone.

It ends by itself when the project has nothing left to give, or on SIGTERM; what it held then comes back in time.
"""

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from labelloop.client import Client, ClientError


def main() -> None:
    """Run until the budget is spent or SIGTERM."""
    options = _options().parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    truth = json.loads(options.truth.read_text(encoding="utf-8"))
    rng = np.random.default_rng([options.seed, *options.name.encode()])
    with Client(os.environ["LABELLOOP_URL"], os.environ["LABELLOOP_KEY"], patience=600.0) as client:
        while True:
            try:
                if not _batch(client, options, truth, rng):
                    return
            except ClientError as error:
                sys.exit(f"{options.name}: {error}")


def _batch(client: Client, options: argparse.Namespace, truth: Mapping[str, str], rng: np.random.Generator) -> bool:
    """Take a batch and answer it in one call. False: nothing will come any more."""
    held = client.lease(options.project, options.batch)
    if not held:
        time.sleep(held.retry_after or 0.0)
        return held.retry_after is not None
    if rng.random() < options.abandon:  # went home: these leases come back when their time is over
        return True
    classes = sorted(set(truth.values()))
    answers: list[Mapping[str, object]] = []
    skipped: list[str] = []
    for lease in held:
        seconds = float(options.think * rng.lognormal(0.0, 0.4))
        time.sleep(seconds)
        if rng.random() < options.skip:
            skipped.append(lease.lease)
        else:
            label = _answer(truth[lease.key], classes, accuracy=options.accuracy, rng=rng)
            answers.append({"lease": lease.lease, "label": label, "seconds": round(seconds, 4)})
    if skipped:
        client.skip(options.project, skipped)
    if answers:
        client.annotate(options.project, answers)
    return True


def _answer(truth: str, classes: Sequence[str], *, accuracy: float, rng: np.random.Generator) -> str:
    """The truth, or with probability 1 - accuracy one of the other classes, each as likely."""
    if rng.random() < accuracy:
        return truth
    return str(rng.choice([name for name in classes if name != truth]))


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m labelloop_workers.oracle", description=__doc__)
    parser.add_argument("--project", required=True)
    parser.add_argument("--truth", type=Path, required=True, help="JSON file: key → class")
    parser.add_argument("--name", default="oracle")
    parser.add_argument("--accuracy", type=float, default=0.95)
    parser.add_argument("--think", type=float, default=0.02, help="seconds per item, in the median")
    parser.add_argument("--batch", type=int, default=5)
    parser.add_argument("--skip", type=float, default=0.02, help="rate of items it passes over")
    parser.add_argument("--abandon", type=float, default=0.0, help="rate of batches it walks away from")
    parser.add_argument("--seed", type=int, default=0)
    return parser


if __name__ == "__main__":
    main()
