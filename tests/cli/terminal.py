"""What a command came to, and work done by commands."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Said:
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Command = Callable[..., Said]


def label(cli: Command, count: int, name: str = "anna") -> list[dict[str, Any]]:
    """Answer `count` items truly."""
    leases = cli("lease", "mail", "--count", count, "--as", name, "--json").json["leases"]
    return [{"lease": one["lease"], "label": "spam" if "pills" in one["data"]["text"] else "ham"} for one in leases]
