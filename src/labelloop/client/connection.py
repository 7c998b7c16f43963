"""How the client speaks to a service: calls, repeated while it is away, and what goes wrong as a ClientError.

Which calls there are is not known here.
"""

import email.utils
import socket
import ssl
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

import httpx
import stamina

from labelloop.client.address import checked_address, checked_key
from labelloop.client.errors import ClientError, of_our_own
from labelloop.client.sending import NO_JSON, encode, fault

Kind = TypeVar("Kind", bound=BaseException)

LONGEST_WAIT = 30.0
"""Seconds between two tries, whatever Retry-After says."""
NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST"})
"""How OpenSSL says that the other side answered without TLS; which, depends on its version."""


class Connection:
    """A service by its address and our key; safe to share between threads.

    Raises:
        ClientError: address or key cannot be right; nothing was sent.
    """

    def __init__(self, url: str, key: str, *, timeout: float, patience: float) -> None:
        self.address = checked_address(url)
        self._key = checked_key(key)
        self._http = httpx.Client(
            base_url=self.address,
            headers={"Authorization": f"Bearer {self._key}", "User-Agent": "labelloop-client"},
            timeout=timeout,
        )
        self._patience = patience

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def ready(self) -> bool:
        """Whether the service says that it is; False also when it is away."""
        try:
            return self._http.get("/readyz").status_code == 200
        except httpx.TransportError:
            return False

    def call(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        content: Callable[[], Iterable[bytes]] | None = None,
        headers: Mapping[str, str] | None = None,
        repeat: bool = True,
    ) -> dict[str, Any]:
        """One call, the same bytes and headers at every try. Every call of ours may be repeated, unless `repeat`."""
        told, whole = _sendable(headers or {}), None
        if body is not None:
            told, whole = {"Content-Type": "application/json", **told}, _encoded(body)

        def once() -> dict[str, Any]:
            sent = content() if content is not None else whole
            return _answer(self._http.request(method, path, content=sent, headers=told))

        patience = self._patience if repeat else 0.0
        try:
            if not patience:
                return once()
            with_retries = stamina.retry(
                on=_when_again, attempts=None, timeout=patience, wait_initial=0.1, wait_max=5.0, wait_jitter=0.2
            )
            return with_retries(once)()
        except httpx.RequestError as error:
            tried = f", tried for {patience:g} s" if patience and _when_again(error) else ""
            raise self._explained(error, tried) from error

    def lines(self, path: str, query: Mapping[str, str]) -> Iterator[str]:
        """The lines of an answer of any length, as they come. Not repeated: lines would come twice."""
        begun = False
        try:
            with self._http.stream("GET", path, params=query) as response:
                if not response.is_success:
                    response.read()
                _check(response)
                begun = True
                yield from response.iter_lines()
        except httpx.RequestError as error:
            if not begun:
                raise self._explained(error) from error
            detail = f"{self.address} broke off its answer ({error}). What came is not all: ask again."
            raise of_our_own("unreachable", detail) from error

    def _explained(self, error: httpx.RequestError, tried: str = "") -> ClientError:
        """Why no answer came, at which address, and what to look at."""
        where, said = self.address, str(error).replace(self._key, "ll_…") or type(error).__name__
        tls, host = _beneath(error, ssl.SSLError), httpx.URL(where).host
        if isinstance(error, httpx.LocalProtocolError | httpx.UnsupportedProtocol):
            return of_our_own("not-sendable", f"The call to {where} cannot be sent as HTTP: {said}.")
        if tls is not None and tls.reason in NO_TLS:
            detail = (
                f"What listens at {where} answers without TLS. Write http:// instead of https://, or ask its operator."
            )
        elif isinstance(tls, ssl.SSLCertVerificationError):
            detail = (
                f"The certificate of {where} is not trusted: {tls.verify_message}. Check the address; for an authority"
                " of your own set SSL_CERT_FILE to its certificate."
            )
        elif _beneath(error, socket.gaierror) is not None:
            detail = (
                f"The host {host!r} of {where} is not known here{tried}. Check the address, and that the network is up."
            )
        elif isinstance(error, httpx.TimeoutException):
            detail = (
                f"{where} did not answer in time{tried}. Look at its log and load, or give Client a longer timeout."
            )
        else:
            detail = (
                f"{where} does not answer ({said}{tried}). Is the service running (`labelloop up`), and are host and"
                " port those that it printed?"
            )
        return of_our_own("unreachable", detail)


def _when_again(error: Exception) -> bool | float:
    """Whether, or after how many seconds, a call is worth repeating.

    A host that is not known is: where containers start again, their names are gone for a moment.
    """
    if isinstance(error, ClientError):
        if error.status not in {502, 503, 504}:
            return False
        return True if error.retry_after is None else min(error.retry_after, LONGEST_WAIT)
    if isinstance(error, httpx.LocalProtocolError | httpx.UnsupportedProtocol):
        return False  # what we would send is wrong, and stays so
    tls = _beneath(error, ssl.SSLError)
    if tls is not None and (tls.reason in NO_TLS or isinstance(tls, ssl.SSLCertVerificationError)):
        return False
    return isinstance(error, httpx.TransportError)


def _beneath(error: BaseException | None, kind: type[Kind]) -> Kind | None:
    """The error of this kind that led to this one, if any."""
    while error is not None:
        if isinstance(error, kind):
            return error
        error = error.__cause__ or error.__context__
    return None


def _sendable(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers as HTTP takes them; an Idempotency-Key is the caller's own text."""
    for name, value in headers.items():
        if not all(" " <= sign <= "~" for sign in value) or value != value.strip():
            detail = f"The {name} {value!r} cannot be sent: use plain ASCII letters, digits and signs, on one line."
            raise of_our_own("not-sendable", detail)
    return dict(headers)


def _encoded(body: Any) -> bytes:
    try:
        return encode(body)
    except NO_JSON as error:
        raise of_our_own("not-sendable", f"The body of the call {fault(error)}.") from error


def _answer(response: httpx.Response) -> dict[str, Any]:
    _check(response)
    try:
        found = response.json()
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ClientError({"status": response.status_code, **_of_a_stranger(response)})
    return found


def _check(response: httpx.Response) -> None:
    if response.is_success:
        return
    try:
        problem = response.json()
    except ValueError:
        problem = None
    if not isinstance(problem, dict):
        problem = _of_a_stranger(response)
    raise ClientError(
        {"status": response.status_code, **problem}, retry_after=_seconds(response.headers.get("Retry-After"))
    )


def _of_a_stranger(response: httpx.Response) -> dict[str, str]:
    missing = "no JSON" if response.is_success else "no problem"
    detail = f"{response.url} answered {response.status_code} and {missing}. Is this a labelloop service?"
    return {"title": response.reason_phrase, "detail": detail}


def _seconds(retry_after: str | None) -> float | None:
    """Retry-After in seconds; it may also be a date."""
    if retry_after is None:
        return None
    try:
        return max(float(retry_after), 0.0)
    except ValueError:
        pass
    try:
        when = email.utils.parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    return max((when - datetime.now(UTC)).total_seconds(), 0.0)
