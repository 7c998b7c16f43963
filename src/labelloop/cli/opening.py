"""Opens what commands work on: the settings, and the ports on the store they name."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from labelloop.domain.errors import Invalid

if TYPE_CHECKING:  # opening nothing keeps `--help` fast
    from labelloop.ports import Ports
    from labelloop.settings import Settings


def settings() -> "Settings":
    """The settings in force.

    Raises:
        Invalid: names the variable that is wrong.
    """
    from pydantic import ValidationError
    from pydantic_settings import SettingsError

    from labelloop.settings import Settings

    try:
        return Settings()
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = "LABELLOOP_" + "_".join(str(part) for part in first["loc"]).upper()
        raise Invalid(f"The environment variable {name} is wrong: {first['msg']}. See `labelloop doctor`.") from None
    except SettingsError as error:  # a list that is no JSON
        named = re.search('field "(.*?)"', str(error))
        name = f"LABELLOOP_{named[1].upper()}" if named else "LABELLOOP_…"
        raise Invalid(f'The environment variable {name} is a list in JSON, such as ["/data/pictures"].') from None


@contextmanager
def opened(chosen: "Settings | None" = None) -> Iterator["Ports"]:
    """The ports, closed at the end. Warnings go to standard error: standard output is for what was asked."""
    from labelloop import telemetry, wiring

    chosen = chosen or settings()
    telemetry.configure(log_format=chosen.log_format, level=_quiet(chosen.log_level))
    ports = wiring.build(chosen)
    try:
        yield ports
    finally:
        wiring.close(ports)


def _quiet(level: str) -> str:
    """A command tells its result; of the log it shows warnings and worse, unless all was asked for."""
    return "warning" if level == "info" else level
