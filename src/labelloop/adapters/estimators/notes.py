"""Turns the warnings of foreign libraries into log lines; errors stay what they are."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

_log = structlog.get_logger(__name__)


@contextmanager
def noted(about: str) -> Iterator[None]:
    """Log each different warning raised inside once, as `estimator.warned`; a model that warns still serves."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for category, text in sorted({(entry.category.__name__, str(entry.message)) for entry in caught}):
        _log.warning("estimator.warned", about=about, category=category, message=text.strip().partition("\n")[0])
