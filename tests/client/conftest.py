"""A service for the client to talk to."""

from collections.abc import Iterator

import pytest
from serving import Service, running


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A running service."""
    with running(tmp_path_factory.mktemp("home")) as found:
        yield found
