"""The HTTP transport with peers that are slow, broken or gone: the deadline holds, and memory is bounded."""

from __future__ import annotations

import contextlib
import gzip
import os
import select
import socket
import ssl
import subprocess
import threading
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from blogauto_otel.export.transport import Destination, ExportResult, ExportStatus
from blogauto_otel.export.transport.http import HttpTransport
from blogauto_otel.export.transport.http_response import MAX_BODY, retry_after
from testkit import receiver as peer
from testkit.receiver import Receiver
from tests.export.peers import refusing, saying

BODY = b"x" * 300_000
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


def to(url: str, **fields: Any) -> HttpTransport:
    return HttpTransport(Destination(url, **fields))


def send(transport: HttpTransport, *, within: float = 5.0, body: bytes = BODY) -> ExportResult:
    """Send, and check that the transport returns by its deadline."""
    started = time.monotonic()
    result = transport.send(body, started + within)
    assert time.monotonic() - started < within + 1.0  # a second for a loaded machine
    return result


# --- the good case --------------------------------------------------------------------------------------------------


def test_a_request_arrives_whole_with_its_headers(receiver: Receiver) -> None:
    headers = {"x-api-key": "abc", "content-length": "1", "Host": "evil", "broken": "a\r\nb: c"}
    transport = to(receiver.url + "/custom/v1/traces?tenant=a", headers=headers)
    assert send(transport) == ExportResult(ExportStatus.DELIVERED)
    [request] = receiver.requests
    assert request.path == "/custom/v1/traces?tenant=a"
    assert request.body == BODY
    assert request.headers["content-type"] == "application/x-protobuf"
    assert request.headers["host"] == receiver.url.removeprefix("http://")
    assert request.headers["x-api-key"] == "abc"
    assert "OTel-OTLP-Exporter-Python" in request.headers["user-agent"]
    assert "broken" not in request.headers
    assert "b" not in request.headers


def test_compressed_bodies_have_the_header(receiver: Receiver) -> None:
    assert send(to(receiver.url + "/v1/traces", gzip=True)).status is ExportStatus.DELIVERED
    [request] = receiver.requests
    assert request.headers["content-encoding"] == "gzip"
    assert gzip.decompress(request.body) == BODY
    assert len(request.body) < len(BODY) / 10


def test_user_and_password_of_the_url_become_a_header(receiver: Receiver) -> None:
    send(to(receiver.url.replace("//", "//me:p%40ss@") + "/v1/traces"))
    assert receiver.requests[0].headers["authorization"] == "Basic bWU6cEBzcw=="


def test_one_connection_serves_many_requests(receiver: Receiver) -> None:
    transport = to(receiver.url + "/v1/traces")
    for _ in range(5):
        assert send(transport).status is ExportStatus.DELIVERED
    assert receiver.connections == 1


def test_connections_are_reused_where_there_is_no_poll(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """eventlet's monkey patching takes `select.poll` away, and Windows never had it."""
    monkeypatch.delattr(select, "poll")
    transport = to(receiver.url)
    outcomes = [send(transport) for _ in range(3)]
    assert [result.status for result in outcomes] == [ExportStatus.DELIVERED] * 3
    assert receiver.connections == 1


def test_proxies_of_the_environment_are_ignored(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    with refusing() as nowhere:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, nowhere)
        assert send(to(receiver.url + "/v1/traces")).status is ExportStatus.DELIVERED


# --- answers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_an_overloaded_receiver_is_retried(receiver: Receiver, status: int) -> None:
    receiver.answer(peer.status(status, retry_after=7))
    assert send(to(receiver.url + "/v1/traces")) == ExportResult(
        ExportStatus.RETRY, f"http_{status}", f"HTTP {status}", 7.0
    )


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 413, 500, 501, 505, 304])
def test_other_refusals_are_final(receiver: Receiver, status: int) -> None:
    receiver.answer(peer.status(status, retry_after=7))
    result = send(to(receiver.url + "/v1/traces"))
    assert (result.status, result.reason) == (ExportStatus.REFUSED, f"http_{status}")


def test_a_redirect_is_not_followed(receiver: Receiver) -> None:
    receiver.answer(peer.redirect(receiver.url + "/elsewhere"))
    result = send(to(receiver.url + "/v1/traces"))
    assert result.status is ExportStatus.REFUSED
    assert "/elsewhere" in result.message
    assert len(receiver.requests) == 1


@pytest.mark.parametrize("status", [200, 202])
def test_a_partial_success_is_understood(receiver: Receiver, status: int) -> None:
    receiver.answer(peer.Answer(status=status, body=peer.partial_success(3, "too old").body))
    assert send(to(receiver.url + "/v1/traces")) == ExportResult(ExportStatus.DELIVERED, message="too old", rejected=3)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        ("0", 0.5),
        ("-3", 0.5),
        ("1000000000", 60.0),
        ("nan", 0.5),
        ("Thu, 01 Jan 1970 00:01:00 GMT", 10.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.5),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 60.0),
        ("soon", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_read_and_clamped(value: str | None, seconds: float | None) -> None:
    assert retry_after(value, now=50.0) == seconds


# --- peers that hurt ------------------------------------------------------------------------------------------------


def test_a_refused_connection_is_retried(receiver: Receiver) -> None:
    with refusing() as url:
        result = send(to(url + "/v1/traces"))
    assert (result.status, result.reason, result.answered) == (ExportStatus.RETRY, "connection", False)
    assert "refused" in result.message


def test_a_name_that_does_not_resolve(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert send(to("http://collector.invalid:4318/v1/traces")).reason == "connection"


def test_an_address_that_does_not_answer_leaves_time_for_the_next(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as full:  # a backlog that is full answers no further connection
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        fillers = [socket.socket() for _ in range(3)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        stream = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
        addresses = [(*stream, full.getsockname()), (*stream, ("127.0.0.1", receiver.port))]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: addresses)
        assert send(to("http://two.example/v1/traces"), within=2.0).status is ExportStatus.DELIVERED
        for filler in fillers:
            filler.close()


@pytest.mark.parametrize("answer", [peer.silence(), peer.drip(0.05)], ids=["silent", "dripping"])
def test_the_deadline_holds_against_an_answer_that_does_not_end(receiver: Receiver, answer: peer.Answer) -> None:
    receiver.answer(answer)
    result = send(to(receiver.url + "/v1/traces"), within=0.5)
    assert (result.status, result.reason) == (ExportStatus.RETRY, "timeout")


def test_the_deadline_holds_against_a_peer_that_reads_nothing(receiver: Receiver) -> None:
    receiver.freeze()
    result = send(to(receiver.url + "/v1/traces"), within=0.5, body=b"x" * 50_000_000)
    assert result.reason == "timeout"
    receiver.thaw()


@pytest.mark.slow
@pytest.mark.parametrize("rest", [b"Content-Length: 1000\r\n\r\nabc", b"Content-Le"], ids=["body", "headers"])
def test_the_status_counts_when_only_the_rest_drips(rest: bytes) -> None:
    with saying(b"HTTP/1.1 200 OK\r\n" + rest, close=False) as slow:
        started = time.monotonic()
        assert send(to(slow.url), within=20.0).status is ExportStatus.DELIVERED
        assert time.monotonic() - started < 10.0


@pytest.mark.parametrize("answer", [peer.huge_body(), peer.gzip_bomb()], ids=["300 MB", "gzip bomb"])
def test_a_huge_answer_costs_little_memory(receiver: Receiver, answer: peer.Answer) -> None:
    receiver.answer(answer)
    transport = to(receiver.url + "/v1/traces")
    tracemalloc.start()
    try:
        assert send(transport).status is ExportStatus.DELIVERED
        assert tracemalloc.get_traced_memory()[1] < 20 * MAX_BODY
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("when", ["reading", "read", "answering"])
def test_a_reset_connection_is_a_reason_to_try_again(receiver: Receiver, when: str) -> None:
    receiver.answer(peer.reset(when))
    result = send(to(receiver.url + "/v1/traces"))
    assert (result.status, result.reason) == (ExportStatus.RETRY, "connection")


def test_a_connection_that_the_peer_closed_is_replaced(receiver: Receiver) -> None:
    receiver.answer(peer.closing())
    transport = to(receiver.url + "/v1/traces")
    for _ in range(3):
        assert send(transport).status is ExportStatus.DELIVERED
        time.sleep(0.05)
    assert receiver.connections == 3


def test_a_reused_connection_that_breaks_is_replaced_once(receiver: Receiver) -> None:
    transport = to(receiver.url + "/v1/traces")
    assert send(transport).status is ExportStatus.DELIVERED
    receiver.answer(peer.reset("read"), times=1)
    assert send(transport).status is ExportStatus.DELIVERED
    assert receiver.connections == 2


def test_a_restarted_receiver_is_found_again(receiver: Receiver) -> None:
    transport = to(receiver.url + "/v1/traces")
    assert send(transport).status is ExportStatus.DELIVERED
    receiver.stop()
    assert send(transport).status is ExportStatus.RETRY
    receiver.start()
    assert send(transport).status is ExportStatus.DELIVERED


@contextlib.contextmanager
def early_answer(said: bytes, *, keeps_open: bool) -> Iterator[str]:
    """A peer that answers when it has read a hundred bytes, and reads no more."""
    listener = socket.create_server(("127.0.0.1", 0))
    done = threading.Event()

    def answer() -> None:
        connection, _ = listener.accept()
        connection.recv(100)
        connection.sendall(said)
        done.wait(5.0 if keeps_open else 0.2)
        connection.close()  # with unread data: RST

    thread = threading.Thread(target=answer)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
    done.set()
    thread.join()
    listener.close()


def test_a_refusal_during_the_request_is_read() -> None:
    """A proxy that answers 413 does not read the rest, and resets the connection."""
    with early_answer(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n", keeps_open=False) as url:
        result = send(to(url), body=b"x" * 30_000_000)
    assert result.reason in {"http_413", "connection"}  # the reset may overtake the answer
    assert result.status is not ExportStatus.DELIVERED


def test_a_refusal_is_read_while_the_peer_waits_for_the_body() -> None:
    with early_answer(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n", keeps_open=True) as url:
        assert send(to(url), within=0.5, body=b"x" * 30_000_000).reason == "http_413"


@pytest.mark.parametrize("keeps_open", [True, False])
def test_a_success_before_the_request_was_sent_is_not_believed(keeps_open: bool) -> None:
    with early_answer(OK, keeps_open=keeps_open) as url:
        assert send(to(url), within=0.5, body=b"x" * 30_000_000).status is ExportStatus.RETRY


def test_a_surplus_response_is_not_taken_for_the_next() -> None:
    with saying(OK + b"HTTP/1.1 2", close=False) as early:  # the rest of it may arrive at any time
        transport = to(early.url)
        for _ in range(2):
            assert send(transport).status is ExportStatus.DELIVERED
            assert transport._socket is None


def test_descriptors_that_were_closed_under_it_are_neither_used_nor_closed(receiver: Receiver) -> None:
    transport = to(receiver.url + "/v1/traces")
    assert send(transport).status is ExportStatus.DELIVERED
    assert transport._socket is not None
    number = transport._socket.fileno()
    theirs, other_end = socket.socketpair()
    os.dup2(theirs.fileno(), number)  # as when a daemon has closed all, and the next that it opens gets the number
    transport.abort()
    assert send(transport).status is ExportStatus.DELIVERED
    transport.close()
    other_end.setblocking(False)
    with pytest.raises(BlockingIOError):
        other_end.recv(1)  # we sent nothing
    os.write(number, b"x")  # and did not close it
    assert other_end.recv(1) == b"x"
    os.close(number)
    theirs.close()
    other_end.close()


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nTrailer: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nuntil the end",
        b"HTTP/1.0 200\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nabcdefgh\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n" + b"x" * 100_000,
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nno colon\r\n\r\nab",
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 3 + b"HTTP/1.1 206 Some\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000,
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000,
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nok",
    ],
)
def test_any_200_is_a_200(said: bytes) -> None:
    with saying(said) as odd:
        assert send(to(odd.url)).status is ExportStatus.DELIVERED


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        (b"", "connection"),
        (b"SSH-2.0-OpenSSH\r\n", "not HTTP"),
        (b"\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x05\x00\x00\x40\x00", "gRPC"),
        (b"\x15\x03\x01\x00\x02\x02\x46", "https"),
        (b"HTTP/1.1 xyz\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 2000 OK\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 000 OK\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 200" + b"x" * 200_000, "not HTTP"),
        (b"\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Le", "closed before"),
        (b"HTTP/1.1 102 Processing\r\n\r\n" * 30, "too many interim"),
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n <!doctype html>", "page of HTML"),
    ],
)
def test_other_protocols_are_retried_with_a_hint(said: bytes, hint: str) -> None:
    with saying(said) as odd:
        result = send(to(odd.url))
    assert (result.status, result.answered) == (ExportStatus.RETRY, False)
    assert hint.lower() in result.message.lower()


def test_abort_ends_a_request_that_hangs(receiver: Receiver) -> None:
    receiver.answer(peer.silence())
    transport = to(receiver.url + "/v1/traces")
    threading.Timer(0.3, transport.abort).start()
    started = time.monotonic()
    assert send(transport, within=20.0).status is ExportStatus.RETRY
    assert time.monotonic() - started < 10.0


# --- TLS ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate authority, a server for 127.0.0.1 and a client that it signed, and an unknown authority."""
    folder = tmp_path_factory.mktemp("tls")
    _certificate(folder, "ca", "/CN=test CA", "-days", "2", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    for name, extra in (("server", "subjectAltName=IP:127.0.0.1"), ("client", "extendedKeyUsage=clientAuth")):
        extensions = ("-addext", "basicConstraints=critical,CA:FALSE", "-addext", extra)
        _certificate(folder, name, f"/CN={name}", "-CA", "ca.pem", "-CAkey", "ca.key", "-days", "2", *extensions)
    _certificate(folder, "stranger", "/CN=stranger", "-days", "2")
    return folder


def _certificate(folder: Path, name: str, subject: str, *options: str) -> None:
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    files = ["-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", subject]
    subprocess.run([*command, *files, *options], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def secure(authority: Path) -> Iterator[Receiver]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority / "server.pem", authority / "server.key")
    with Receiver(tls=context) as receiver:
        yield receiver


def test_a_receiver_with_a_certificate_of_our_authority_is_trusted(secure: Receiver, authority: Path) -> None:
    transport = to(secure.url + "/v1/traces", certificate=str(authority / "ca.pem"))
    for _ in range(3):
        assert send(transport).status is ExportStatus.DELIVERED
    assert secure.requests[0].body == BODY


@pytest.mark.parametrize("wrong", ["stranger.pem", "missing.pem", "server.key", None])
def test_a_receiver_that_cannot_be_trusted_gets_nothing(secure: Receiver, authority: Path, wrong: str | None) -> None:
    certificate = None if wrong is None else str(authority / wrong)
    result = send(to(secure.url + "/v1/traces", certificate=certificate))
    assert (result.status, result.reason) == (ExportStatus.RETRY, "connection")
    assert secure.requests == []


def test_the_client_certificate_is_sent_on_request(secure: Receiver, authority: Path) -> None:
    assert secure.tls is not None
    secure.tls.verify_mode = ssl.CERT_REQUIRED
    secure.tls.load_verify_locations(authority / "ca.pem")
    ca = str(authority / "ca.pem")
    ours = {"client_certificate": str(authority / "client.pem"), "client_key": str(authority / "client.key")}
    assert send(to(secure.url + "/v1/traces", certificate=ca)).status is ExportStatus.RETRY
    assert send(to(secure.url + "/v1/traces", certificate=ca, **ours)).status is ExportStatus.DELIVERED


def test_plain_text_where_tls_is_expected_is_an_error_with_a_deadline(receiver: Receiver) -> None:
    assert send(to(receiver.url.replace("http:", "https:") + "/v1/traces"), within=2.0).status is ExportStatus.RETRY


def test_a_tls_handshake_ends_at_the_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        result = send(to(f"https://127.0.0.1:{silent.getsockname()[1]}/"), within=0.5)
    assert result.reason == "timeout"
