"""The client where no service answers, or nothing can be sent: what people are told, how soon, and what not."""

import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from serving import Service

from labelloop.client import Client, ClientError
from labelloop.domain.states import Role

KEY = "ll_averysecretkey"
NOBODY = "http://127.0.0.1:1"


def _refused(url: object, key: object) -> ClientError:
    """The error at the constructor, which must come at once."""
    began = time.monotonic()
    with pytest.raises(ClientError) as caught:
        Client(url, key)  # type: ignore[arg-type]
    assert time.monotonic() - began < 1
    assert caught.value.status == 0
    return caught.value


@pytest.mark.parametrize("around", ["{}\n", " {}\r\n", "\t{} "])
def test_a_key_from_a_file_may_end_in_a_line_break(service: Service, around: str) -> None:
    """Spaces around key and address are nobody's intention and are left away."""
    key = service.key(Role.ANNOTATOR, subject="nora")
    with Client(around.format(service.url), around.format(key), patience=0) as found:
        assert found.whoami()["subject"] == "nora"


@pytest.mark.parametrize("key", ["", "  \n", None])
def test_no_key_is_said_at_once_with_how_to_make_one(key: str | None) -> None:
    """An empty variable is the usual reason; it is named."""
    error = _refused(NOBODY, key)
    assert error.slug == "wrong-key"
    assert "labelloop key create" in str(error)
    assert "LABELLOOP_KEY" in str(error)


@pytest.mark.parametrize("key", [f"{KEY} x", f"{KEY}\nx", f"{KEY}é", f"{KEY}\x00"])
def test_a_key_that_cannot_be_one_is_refused_without_showing_it(key: str) -> None:
    """The sentence says what to do; the key is in neither it nor the problem."""
    error = _refused(NOBODY, key)
    assert error.slug == "wrong-key"
    assert "Copy it again" in str(error)
    assert "secret" not in f"{error} {error!r} {error.problem}"


@pytest.mark.parametrize(
    "url, said",
    [
        ("127.0.0.1:8321", "Write it whole, like http://127.0.0.1:8321"),
        ("localhost:8321", "Write it whole, like http://localhost:8321"),
        ("ftp://host", "does not begin with http:// or https://"),
        ("http://", "names no host"),
        ("http:///v1", "names no host"),
        ("http://a..b", "names no host"),
        ("http://two words", "names no host"),
        ("http://host:99999", "names no host"),
        ("http://[::1", "names no host"),
        ("http://host/?project=p", "with ? or #"),
        ("", "No address is given"),
        (None, "No address is given"),
    ],
)
def test_an_address_that_cannot_be_one_is_said_at_once(url: str | None, said: str) -> None:
    """With what is missing, and how it should look."""
    error = _refused(url, KEY)
    assert error.slug == "wrong-address"
    assert said in str(error)


def test_key_and_address_in_the_wrong_order_show_no_key() -> None:
    """The sentence says the order; passwords in an address are not shown either."""
    for url, key in ((KEY, NOBODY), (f"127.0.0.1/{KEY}", KEY), (f"http://me:{KEY}@host", KEY)):
        assert "secret" not in str(_refused(url, key))
    assert "Client(url, key)" in str(_refused(KEY, NOBODY))
    assert "Client(url, key)" in str(_refused(NOBODY, NOBODY))


def test_nobody_at_the_address_is_our_error_after_all_tries(capfd: pytest.CaptureFixture[str]) -> None:
    """It names the address and what to look at; neither it nor the log of the tries shows the key."""
    with Client(NOBODY, KEY, patience=1) as found, pytest.raises(ClientError, match="labelloop up") as caught:
        found.whoami()
    assert (caught.value.status, caught.value.slug) == (0, "unreachable")
    assert NOBODY in str(caught.value)
    assert "tried for 1 s" in str(caught.value)
    said = "".join(capfd.readouterr())
    assert "retry" in said
    assert "secret" not in said + str(caught.value)


def test_without_patience_and_where_nothing_is_repeated_it_is_the_same_error() -> None:
    """One try, one kind of error, for each way of calling."""
    with Client(NOBODY, KEY, patience=0) as found:
        for call in (found.whoami, lambda: found.create_key("ann"), lambda: list(found.export("p"))):
            with pytest.raises(ClientError, match=NOBODY) as caught:
                call()
            assert caught.value.slug == "unreachable"
        assert found.ready() is False


def test_https_at_a_service_without_it_is_said_at_once(service: Service) -> None:
    """No try would go better, so there is one; the sentence says which letter is too many."""
    began = time.monotonic()
    url, said = service.url.replace("http:", "https:"), "http:// instead of https://"
    with Client(url, KEY, patience=30) as found, pytest.raises(ClientError, match=said) as caught:
        found.whoami()
    assert caught.value.slug == "unreachable"
    assert time.monotonic() - began < 10


def test_an_unknown_host_is_named() -> None:
    """After its tries: the name of a container that starts again is unknown for a moment, too."""
    url, said = "http://no-such-host.invalid:8321", "'no-such-host.invalid' .* is not known here, tried for 0.5 s"
    with Client(url, KEY, patience=0.5) as found, pytest.raises(ClientError, match=said):
        found.whoami()


def test_a_service_that_stays_silent_is_told_from_one_that_is_away() -> None:
    """Someone listens and says nothing: the log, the load and the timeout are what to look at."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with (
            Client(url, KEY, timeout=0.2, patience=0) as found,
            pytest.raises(ClientError, match="did not answer in time"),
        ):
            found.whoami()


def test_an_answer_that_breaks_off_is_not_taken_for_the_end() -> None:
    """Half an export raises, and says that it is half."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nContent-Length: 999\r\n\r\n"

    def serve(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(65_536)
            connection.sendall(head + b'{"key": "a"}\n')

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=(server,))
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        with Client(url, KEY) as found, pytest.raises(ClientError, match="not all: ask again"):
            list(found.export("p"))
        thread.join()


def test_an_idempotency_key_that_is_no_header_is_said_at_once(service: Service) -> None:
    """It is the caller's own text; no try would go better."""
    with Client(service.url, service.key(), patience=30) as found:
        for key in ("night\nshift", "nächtlich", "night "):
            began = time.monotonic()
            with pytest.raises(ClientError, match="Idempotency-Key") as caught:
                found.annotate("p", [], idempotency_key=key)
            assert caught.value.slug == "not-sendable"
            assert time.monotonic() - began < 1


def test_a_service_that_comes_while_one_tries_is_found() -> None:
    """Refused connections, as during a restart, are tried again until someone answers."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    answer = b'HTTP/1.1 200 OK\r\nContent-Length: 18\r\n\r\n{"subject": "ann"}'
    asked: list[bytes] = []

    def serve() -> None:
        time.sleep(0.5)
        with socket.create_server(("127.0.0.1", port)) as server:
            connection, _ = server.accept()
            with connection:
                asked.append(connection.recv(65_536))
                connection.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    with Client(f"http://127.0.0.1:{port}", KEY, patience=20) as found:
        assert found.whoami() == {"subject": "ann"}
    thread.join()
    assert f"Bearer {KEY}".encode() in asked[0]


def test_an_oracle_with_a_key_that_is_none_says_so(tmp_path: Path) -> None:
    """The process ends with the sentence, not with a trace."""
    (tmp_path / "truth.json").write_text("{}")
    argv = [sys.executable, "-m", "labelloop_workers.oracle", "--project", "p", "--truth", tmp_path / "truth.json"]
    env = {**os.environ, "LABELLOOP_URL": "127.0.0.1:8321", "LABELLOOP_KEY": KEY}
    ended = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr.strip().endswith("Write it whole, like http://127.0.0.1:8321.")
    assert "Traceback" not in ended.stderr
