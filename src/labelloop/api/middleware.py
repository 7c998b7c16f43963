"""What happens to every request whatever its route: a request id, a log line, a latency, safe headers, a body limit.

Plain ASGI, not BaseHTTPMiddleware, which costs a task per request and breaks streaming.
"""

import logging
import re
import time
from secrets import token_hex

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bind_contextvars

from labelloop import telemetry
from labelloop.api import problems
from labelloop.domain.errors import LabelloopError, TooLarge

log = telemetry.logger(__name__)
_own_log = logging.getLogger(__name__)

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
SAFE_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_SAFE = [(name.lower().encode(), value.encode()) for name, value in SAFE_HEADERS.items()]
_SAFE_API = [*_SAFE, (b"cache-control", b"no-store")]
STREAM_TYPES = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl"})
"""Media types of a stream of items: no limit on the body, only on a line."""
PROBES = frozenset({"health", "ready", "metrics"})
HOT = frozenset({"lease", "annotate", "renew"})
"""Calls that come by the thousand; those that went well are logged at level debug only, and counted in the metrics."""
CLIENT_CLOSED = 499
"""Status in logs and metrics of a request whose sender went away; nobody is there to receive it."""
_ITEMS = re.compile(r"/v1/projects/[^/]+/items")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class SafeHeaders:
    """Puts the security headers on every answer, errors too; a route may set a stricter one itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        safe = _SAFE_API if scope["path"].startswith("/v1/") else _SAFE

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message["headers"] = list(message["headers"])
                own = {name.lower() for name, _ in headers}
                headers += [pair for pair in safe if pair[0] not in own]
            await send(message)

        await self._app(scope, receive, send_safely)


class Observe:
    """Gives each request an id, logs it once with its outcome, measures it, and hides unforeseen errors."""

    def __init__(self, app: ASGIApp, *, metrics: telemetry.Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"").decode("latin-1")
        request_id = given if _REQUEST_ID.fullmatch(given) else token_hex(8)
        status = 0
        started = time.perf_counter()

        async def send_named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
            await send(message)

        bind_contextvars(request_id=request_id)  # the server runs each request in a context of its own
        try:
            await self._app(scope, receive, send_named)
        except ClientDisconnect:
            log.info("request.abandoned", method=scope["method"], path=scope["path"])
            status = CLIENT_CLOSED
        except Exception:
            log.exception("request.failed", method=scope["method"], path=scope["path"])
            if status:
                raise  # the head is out: all that is left is to break the connection
            await problems.response(problems.internal(request_id))(scope, receive, send_named)
        finally:
            self._note(scope, status, time.perf_counter() - started)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        operation = scope.get("operation") or getattr(scope.get("route"), "operation_id", None) or "unknown"
        self._metrics.observe(operation, seconds)
        self._metrics.count("labelloop_requests", operation, str(status))
        level = logging.ERROR if status >= 500 else logging.DEBUG if _is_humdrum(operation, status) else logging.INFO
        if not _own_log.isEnabledFor(level):
            return  # what is not written shall cost nothing
        state = scope.get("state", {})
        who = state.get("identity")
        log.log(
            level,
            "request",
            operation=operation,
            method=scope["method"],
            path=scope["path"],
            status=status,
            ms=round(seconds * 1000, 2),
            subject=who.subject if who else None,
            **({"problem": str(state["problem"])} if "problem" in state else {}),
        )


def _is_humdrum(operation: str, status: int) -> bool:
    """Whether a request went as thousands do: one line for each would say nothing, and cost as much as its work."""
    return operation in PROBES or (operation in HOT and status < 300)


class BodyLimit:
    """Refuses bodies over the limit, whether their length is announced or not; a stream of items has none."""

    def __init__(self, app: ASGIApp, *, most: int) -> None:
        self._app = app
        self._most = most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http" or is_item_stream(scope):
            await self._app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "0")
        if not announced.isdecimal() or int(announced) > self._most:
            await problems.respond(self._refusal())(scope, receive, send)
            return
        seen = 0

        async def receive_counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self._most:
                raise self._refusal()
            return message

        await self._app(scope, receive_counted, send)

    def _refusal(self) -> LabelloopError:
        return TooLarge(
            f"The body is larger than {self._most:,} bytes. Send items as an NDJSON stream (Content-Type: "
            "application/x-ndjson), anything else in parts, or raise LABELLOOP_MAX_BODY.",
            most=self._most,
        )


def is_item_stream(scope: Scope) -> bool:
    """Whether a request brings items line by line."""
    if scope["method"] != "POST" or not _ITEMS.fullmatch(scope["path"]):
        return False
    return Headers(scope=scope).get("content-type", "").partition(";")[0].strip().lower() in STREAM_TYPES
