"""API keys: how they are made, hashed and recognised. Where their hashes are kept is the store's business.

A key carries 192 random bits, so a fast keyed hash is enough: nobody can guess it, and a stolen database without the
secret says nothing.
"""

import hmac
import time
from collections.abc import Callable
from secrets import token_urlsafe

from labelloop.domain.types import Identity
from labelloop.ports import Keys

PREFIX = "ll_"
REMEMBERED_SECONDS = 5.0
"""How long a revoked key may go on working."""
MOST_REMEMBERED = 4096
LONGEST_KEY = 256


def new_key() -> str:
    """A fresh key; show it once, keep its digest."""
    return PREFIX + token_urlsafe(24)


def digest_key(secret: bytes, key: str) -> str:
    """HMAC-SHA256 of a key under the service's secret, in hexadecimal: what the store knows."""
    return hmac.digest(secret, key.encode(), "sha256").hex()


class KeyRing:
    """Recognises keys, and remembers known ones for a few seconds, so that hot calls ask the store seldom.

    Unknown keys are never remembered: a key works from the moment it is created.
    """

    def __init__(self, keys: Keys, secret: bytes, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._keys = keys
        self._secret = secret
        self._clock = clock
        self._known: dict[str, tuple[float, Identity]] = {}

    def recall(self, key: str) -> Identity | None:
        """Whose key this is, if it was seen in the last seconds; never asks the store."""
        entry = self._known.get(digest_key(self._secret, key))
        return entry[1] if entry and entry[0] > self._clock() else None

    def find(self, key: str) -> Identity | None:
        """Whose key this is, asking the store."""
        if not key.startswith(PREFIX) or len(key) > LONGEST_KEY:
            return None
        digest = digest_key(self._secret, key)
        identity = self._keys.find(digest)
        if identity is None:
            self._known.pop(digest, None)
            return None
        if len(self._known) >= MOST_REMEMBERED:
            self._known.clear()
        self._known[digest] = (self._clock() + REMEMBERED_SECONDS, identity)
        return identity
