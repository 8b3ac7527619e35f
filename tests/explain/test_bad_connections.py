"""What a server can do to a connection, and what is said about it. The servers are sockets (``servers_raw``)."""

from __future__ import annotations

import json
import socket
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from explain.serving import connections
from explain.serving.connections import Connections
from explain.serving.protocol import Cancelled, RequestRefused, TooLarge, Unreachable, WrongAnswer
from explain.serving.transport import Transport, retry_after
from tests.explain.servers import healthy, serving
from tests.explain.servers_raw import Doing, drip, reply, self_signed, socket_server

ANSWER = json.dumps({"predictions": [0.5]}).encode()


def post(url: str, *, body: bytes = b"{}", naps: list[float] | None = None, **options: Any) -> bytes:
    def sleep(seconds: float) -> None:
        if naps is not None:
            naps.append(seconds)

    transport = Transport(f"{url}/invocations", sleep=sleep, **options)
    try:
        return transport.post(body, content_type="application/json").body
    finally:
        transport.close()


def answers(connection: socket.socket, _count: int) -> None:
    connection.sendall(reply(ANSWER))


# ── connections that break ───────────────────────────────────────────────────────────────────────────────────────────
def test_a_kept_connection_that_the_server_closed_meanwhile_costs_no_attempt_and_no_wait() -> None:
    def doing(connection: socket.socket, count: int) -> None:
        answers(connection, count)
        if count == 0:
            connection.shutdown(socket.SHUT_RDWR)

    naps: list[float] = []
    with socket_server(doing) as url:
        transport = Transport(url, sleep=naps.append, attempts=1)
        for _ in range(3):
            assert transport.post(b"{}", content_type="application/json").body == ANSWER
            time.sleep(0.05)
        transport.close()
    assert naps == []
    assert transport.requests == 4


def test_a_connection_is_used_again_and_again() -> None:
    opened: list[int] = []

    def doing(connection: socket.socket, count: int) -> None:
        opened.append(connection.fileno())
        answers(connection, count)

    with socket_server(doing) as url:
        transport = Transport(url)
        for _ in range(5):
            transport.post(b"{}", content_type="application/json")
        transport.close()
    assert len(opened) == 5
    assert len(set(opened)) == 1


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        (reply(ANSWER, length=1000), "hung up in the middle of an answer"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n400\r\nhalf", "hung up in the middle of an answer"),
        (b"", "hung up without an answer"),
        (b"HTTP/1.1 200", "hung up|speak HTTP"),
        (b"220 smtp.example.org ready\r\n", "does not speak HTTP"),
        (b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 200 + b"\r\n", "does not speak HTTP"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 70_000 + b"\r\n\r\n", "does not speak HTTP"),
    ],
)
def test_a_connection_that_ends_too_early_is_tried_again_and_then_named(sent: bytes, why: str) -> None:
    def doing(connection: socket.socket, _count: int) -> None:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_RDWR)

    with socket_server(doing) as url, pytest.raises(Unreachable, match=f"in 3 attempts: it ({why})"):
        post(url, attempts=3)


def test_one_broken_answer_is_no_matter() -> None:
    def doing(connection: socket.socket, count: int) -> None:
        if count == 0:
            connection.sendall(reply(ANSWER, length=1000))
            connection.shutdown(socket.SHUT_RDWR)
            return
        answers(connection, count)

    with socket_server(doing) as url:
        assert post(url) == ANSWER


def test_a_server_that_closes_after_each_answer_is_fine() -> None:
    def doing(connection: socket.socket, _count: int) -> None:
        connection.sendall(reply(ANSWER, head="HTTP/1.1 200 OK\r\nconnection: close"))
        connection.shutdown(socket.SHUT_RDWR)

    with socket_server(doing) as url:
        transport = Transport(url, attempts=1)
        for _ in range(3):
            assert transport.post(b"{}", content_type="application/json").body == ANSWER
        transport.close()


def test_a_host_that_nobody_knows_is_said() -> None:
    with pytest.raises(Unreachable, match="its host name is not known"):
        post("http://no-such-host.invalid", attempts=1)


def stops_in_the_middle(connection: socket.socket, _count: int) -> None:
    connection.sendall(reply(ANSWER, length=10**6))
    time.sleep(3)


# ── time ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    "doing",
    [
        drip(reply(ANSWER), seconds=0.1),
        drip(reply(ANSWER)[-12:], seconds=0.1),
        lambda connection, _count: time.sleep(3),
        stops_in_the_middle,
    ],
    ids=["drips", "drips nonsense", "silent", "stops in the middle"],
)
def test_an_answer_that_does_not_end_is_given_up_at_its_deadline(doing: Doing) -> None:
    began = time.monotonic()
    with socket_server(doing) as url, pytest.raises(TooLarge, match=r"no whole answer within 0\.6 s"):
        post(url, timeout=0.6)
    assert time.monotonic() - began < 2.0


def test_a_server_that_reads_no_body_is_given_up_at_its_deadline() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    try:
        with pytest.raises(TooLarge):
            post(f"http://127.0.0.1:{listener.getsockname()[1]}", body=b"x" * 50_000_000, timeout=0.6)
    finally:
        listener.close()


def test_work_that_is_abandoned_ends_while_a_server_thinks() -> None:
    began = time.monotonic()

    def stopped() -> None:
        if time.monotonic() - began > 0.3:
            raise Cancelled

    with socket_server(lambda _connection, _count: time.sleep(10)) as url, pytest.raises(Cancelled):
        post(url, stopped=stopped)
    assert time.monotonic() - began < 1.5


def test_work_that_is_abandoned_ends_while_a_server_asks_to_come_back_later() -> None:
    asked: list[float] = []

    def stopped() -> None:
        asked.append(1.0)
        if len(asked) > 3:
            raise Cancelled

    behave: Any = lambda _rows, _count: (429, b"", {"retry-after": "30"})  # noqa: E731
    naps: list[float] = []
    with serving(behave) as (url, _server), pytest.raises(Cancelled):
        post(url, body=b'{"inputs": {}}', stopped=stopped, naps=naps)
    assert sum(naps) <= 2.0


@pytest.mark.parametrize(
    ("asked", "least", "most"),
    [
        ("7", 7.0, 7.0),
        ("3600", 30.0, 30.0),
        (timedelta(hours=1), 30.0, 30.0),
        (format_datetime(datetime(2001, 1, 1, tzinfo=UTC), usegmt=True), 0.1, 0.5),
        ("soon", 0.1, 0.5),
        ("-5", 0.1, 0.5),
        ("", 0.1, 0.5),
    ],
)
def test_retry_after_is_a_number_or_a_date_and_has_an_end(asked: str | timedelta, least: float, most: float) -> None:
    if isinstance(asked, timedelta):
        asked = format_datetime(datetime.now(UTC) + asked)

    def behave(rows: Any, count: int) -> Any:
        return (503, b"", {"retry-after": asked}) if count == 0 else healthy(rows, count)

    naps: list[float] = []
    with serving(behave) as (url, _server):
        post(url, body=b'{"inputs": {}}', naps=naps)
    assert least <= sum(naps) <= most


def test_a_date_is_as_far_as_it_is() -> None:
    asked = format_datetime(datetime.now(UTC) + timedelta(seconds=12), usegmt=True)
    assert 10 < retry_after(asked) <= 12


# ── size ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    "sent",
    [
        reply(b"", length=10**12),
        reply(b"[" + b"1," * 3000),
        b"HTTP/1.1 200 OK\r\n\r\n" + b"1," * 3000,
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1770\r\n" + b"1," * 3000 + b"\r\n0\r\n\r\n",
    ],
    ids=["says so", "is so", "without a length", "in chunks"],
)
def test_a_huge_answer_is_not_read_to_its_end(sent: bytes) -> None:
    def doing(connection: socket.socket, _count: int) -> None:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)

    with socket_server(doing) as url, pytest.raises(WrongAnswer) as caught:
        post(url, largest_answer=2000)
    assert caught.value.code == "answer.too_large"


def test_a_413_that_comes_before_the_body_is_read_is_understood() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    import threading

    def refuse() -> None:
        connection, _address = listener.accept()
        connection.recv(1000)
        connection.sendall(reply(b"too big", head="HTTP/1.1 413 Payload Too Large\r\nconnection: close"))
        connection.shutdown(socket.SHUT_WR)
        time.sleep(0.5)
        connection.close()

    threading.Thread(target=refuse, daemon=True).start()
    with pytest.raises(TooLarge):
        post(f"http://127.0.0.1:{listener.getsockname()[1]}", body=b"x" * 50_000_000, attempts=1)
    listener.close()


# ── trust ────────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_certificate_that_nobody_vouches_for_is_refused_and_its_authority_can_be_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, certificate = self_signed(tmp_path)
    with socket_server(answers, context=context) as url:
        with pytest.raises(Unreachable, match=r"its certificate is not trusted \(self-signed certificate\)") as caught:
            post(url)
        assert caught.value.code == "endpoint.tls"
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert post(url) == ANSWER


def test_a_certificate_of_another_host_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context, certificate = self_signed(tmp_path, name="other.example.org")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with socket_server(answers, context=context) as url, pytest.raises(Unreachable, match="certificate is not trusted"):
        post(url)


def test_https_to_a_server_that_speaks_plain_http_is_said() -> None:
    def doing(connection: socket.socket, _count: int) -> None:
        connection.sendall(reply(b"bad request", head="HTTP/1.1 400 Bad Request"))

    with serving() as (url, _server), pytest.raises(Unreachable, match="it does not speak TLS"):
        post(url.replace("http://", "https://"))


@pytest.mark.parametrize("to", ["http://169.254.169.254/latest", "http://10.0.0.1/", "//127.0.0.1:1/x", "/elsewhere"])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed_wherever_it_goes(status: int, to: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    take = Connections.take
    monkeypatch.setattr(Connections, "take", lambda self, **given: made.append(self) or take(self, **given))
    with serving(lambda _rows, _count: (status, b"", {"location": to})) as (url, server):
        with pytest.raises(RequestRefused, match="redirects elsewhere"):
            post(url, body=b'{"inputs": {}}')
        assert server.count == 1
    assert len(made) == 1


@pytest.mark.parametrize("status", [401, 403, 400])
def test_a_credential_is_named_and_never_repeated_from_the_answer(status: int) -> None:
    said = b"token s3cret-value is not valid"
    with serving(lambda _rows, _count: (status, said, {})) as (url, _server), pytest.raises(RequestRefused) as caught:
        post(url, body=b'{"inputs": {}}', headers={"Authorization": "Bearer s3cret-value"})
    assert "s3cret-value" not in caught.value.sentence
    assert ("Look at the endpoint's credential" in caught.value.sentence) == (status != 400)


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with socket_server(answers) as url:
        assert post(url) == ANSWER


def test_idle_connections_are_closed_before_servers_close_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "IDLE", 0.0)
    with socket_server(answers) as url:
        transport = Transport(url)
        for _ in range(3):
            transport.post(b"{}", content_type="application/json")
        assert transport.requests == 3
        transport.close()
