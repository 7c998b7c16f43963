"""The address and the key a client is given, checked before the first call, and what may be shown of them.

A key that was copied with a line break, or an address without `http://`, fails at every try: it is said at once. No
sentence from here shows a key, also where key and address were given in the wrong order.
"""

import re

import httpx

from labelloop.client.errors import of_our_own

EXAMPLE = "http://127.0.0.1:8321"
_KEYS = re.compile(r"ll_[\w.~+/=-]+")


def checked_address(given: object) -> str:
    """The address without spaces around it and slashes behind it.

    Raises:
        ClientError: `wrong-address`: there is none, or no scheme or host in it.
    """
    text = given.strip() if isinstance(given, str) else ""
    if not text:
        detail = f"No address is given. Say where the service listens, such as {EXAMPLE}; `labelloop up` prints it."
        raise of_our_own("wrong-address", detail)
    if text.startswith("ll_"):
        raise of_our_own("wrong-address", "There is an API key in the place of the address: it is Client(url, key).")
    url = _parsed(text)
    shown = without_keys(text)
    if url is None or (url.scheme in {"http", "https"} and not _reachable(url)):
        detail = f"The address {shown!r} names no host that can be asked. Write it like {EXAMPLE}."
    elif url.scheme not in {"http", "https"}:
        whole = f"http://{shown}" if "//" not in shown else EXAMPLE
        detail = f"The address {shown!r} does not begin with http:// or https://. Write it whole, like {whole}."
    elif url.userinfo:  # not shown: there may be a password in it
        detail = (
            f"The address holds a name or password before its @. Write it without, like {EXAMPLE}; the key is enough."
        )
    elif url.query or url.fragment:
        detail = f"The address {shown!r} goes on after its path with ? or #. Write it without, like {EXAMPLE}."
    else:
        return text.rstrip("/")
    raise of_our_own("wrong-address", detail)


def checked_key(given: object) -> str:
    """The key without spaces and line breaks around it.

    Raises:
        ClientError: `wrong-key`: there is none, or it holds what no key holds. The sentence does not show it.
    """
    key = given.strip() if isinstance(given, str) else ""
    if not key:
        detail = (
            "No API key is given. Make one with `labelloop key create --subject NAME`, or take one of keys.json in the"
            " home folder; is LABELLOOP_KEY set?"
        )
    elif "://" in key:
        detail = "There is an address in the place of the API key: it is Client(url, key)."
    elif not all("!" <= sign <= "~" for sign in key):
        detail = (
            "The API key holds a space, a line break or another sign that no key has. Copy it again, in one piece, as"
            " `labelloop key create` printed it."
        )
    else:
        return key
    raise of_our_own("wrong-key", detail)


def without_keys(text: str) -> str:
    """The text with keys cut short."""
    return _KEYS.sub("ll_…", text)


def _parsed(text: str) -> httpx.URL | None:
    try:
        return httpx.URL(text)
    except httpx.InvalidURL:
        return None


def _reachable(url: httpx.URL) -> bool:
    """Whether host and port are of a form that the resolver takes; others would be raw errors at the first call."""
    try:
        url.host.encode("idna")
    except UnicodeError:
        return False
    return bool(url.host) and "%" not in url.host and (url.port is None or 0 < url.port <= 65_535)
