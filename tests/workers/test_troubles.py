"""What a worker says when something is wrong for a while."""

import pytest
from labelloop_workers.troubles import Troubles
from structlog.testing import capture_logs

from labelloop.domain.errors import Unavailable


def test_a_passing_outage_is_logged_once_and_its_end_too() -> None:
    """A hundred tries against a Redis that is away make one line, and one when it is back."""
    with capture_logs() as lines:
        troubles = Troubles("tend")
        for _ in range(100):
            with troubles.logged("mail"):
                raise Unavailable("Redis does not answer.")
        for _ in range(3):
            with troubles.logged("mail"):
                pass
    assert [line["event"] for line in lines] == ["tend.failed", "tend.recovered"]


def test_stopping_is_no_trouble() -> None:
    """SystemExit of a signal goes through."""
    troubles = Troubles("tend")
    with pytest.raises(SystemExit), troubles.logged("mail"):
        raise SystemExit(0)
