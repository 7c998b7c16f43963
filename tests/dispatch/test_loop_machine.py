"""The ten invariants of dispatch hold after every step, whatever is done or killed: Redis and the database together."""

import os

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test
from loop_machine import LoopMachine

EXAMPLES = int(os.environ.get("MACHINE_EXAMPLES", "12"))
"""Raise it for a longer look: MACHINE_EXAMPLES=1000. PostgreSQL, which takes four times as long, does a third."""


def test_the_ten_invariants_hold_whatever_happens(ports, redis_home):
    """Leases, answers, expiry, re-ranking, rollback, priorities, pauses, lost messages and a killed Redis."""

    class Here(LoopMachine):
        redis = redis_home

    Here.ports = ports
    examples = EXAMPLES if ports.pool._database.sqlite else max(1, EXAMPLES // 3)
    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=examples, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
