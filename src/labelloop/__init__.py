"""An active-learning labeling service."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labelloop.client import Client, ClientError

__all__ = ["Client", "ClientError"]


def __getattr__(name: str) -> Any:
    """The client, when it is asked for: nothing else should pay for importing it."""
    if name in __all__:
        from labelloop import client

        return getattr(client, name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
