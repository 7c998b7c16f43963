"""One service for all tests of the HTTP door; each test has a project of its own."""

from collections.abc import Iterator

import pytest
from serving import Service, running


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory):
    """The folder that items may name files in."""
    return tmp_path_factory.mktemp("pictures")


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory, pictures) -> Iterator[Service]:
    """A running service with a small body limit."""
    with running(tmp_path_factory.mktemp("home"), max_body=200_000, item_roots=(pictures,)) as found:
        yield found
