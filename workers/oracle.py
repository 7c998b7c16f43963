"""The oracle: a simulated annotator with known truth, as a process; what it does is the demo's.

It works against LABELLOOP_URL with LABELLOOP_KEY, ends by itself when the project has nothing left to give, or on
SIGTERM; what it held then comes back in time.
"""

import argparse
import json
import signal
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np

from labelloop.client import Client, ClientError
from labelloop.demo.oracle import Habits, Oracle
from labelloop.settings import Settings


def main() -> None:
    """Run until the budget is spent or SIGTERM."""
    options, settings = _options().parse_args(), Settings()
    if settings.url is None or settings.key is None:
        sys.exit("Set LABELLOOP_URL and LABELLOOP_KEY to a running service and an annotator's key.")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    truth = json.loads(options.truth.read_text(encoding="utf-8"))
    habits = Habits(**{field.name: getattr(options, field.name) for field in fields(Habits)})
    rng = np.random.default_rng([options.seed, *options.name.encode()])
    try:
        with Client(settings.url, settings.key, patience=600.0) as client:
            Oracle(client, options.project, truth, habits=habits, rng=rng).work()
    except ClientError as error:
        sys.exit(f"{options.name}: {error}")


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m labelloop_workers.oracle", description=Habits.__doc__)
    parser.add_argument("--project", required=True)
    parser.add_argument("--truth", type=Path, required=True, help="JSON file: key → class")
    parser.add_argument("--name", default="oracle")
    parser.add_argument("--seed", type=int, default=0)
    for field in fields(Habits):
        parser.add_argument(f"--{field.name}", type=type(field.default), default=field.default)
    return parser


if __name__ == "__main__":
    main()
