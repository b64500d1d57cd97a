"""Probes that several tasks' expectations share: each accepts every mechanism that does what a public norm asks for."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import re
import socket
import statistics
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import httpx

from evals.arena.kit import expect
from evals.arena.kit.service import Service, together, wait_until

MIB = 1024 * 1024
_SLOW_HASH = re.compile(r"\$argon2|\$2[aby]\$|scrypt|pbkdf2", re.IGNORECASE)
_BCRYPT = re.compile(r"\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}")
_BCRYPT_BYTES = 72
_FAST_HASHES = ("md5", "sha1", "sha256", "sha512")
_SLOW_SECONDS = 0.010
_ACCESS_LOG = re.compile(r'"(GET|POST|PUT|PATCH|DELETE|HEAD|OPTIONS) \S+ HTTP/[\d.]+"')
_CHUNK = b" " * 65_536
_BUSY_REQUESTS = 30
_AT_ONCE = 10
_BUSY_CLIENTS = 6
_CHEAP_SHARE = 0.5

Send = Callable[[], httpx.Response]


def refused(response: httpx.Response) -> None:
    """Any 4xx will do."""
    expect.that(400 <= response.status_code < 500, "a 4xx status", expect.shown(response))


WELL_KNOWN_PASSWORDS = ("123456789012", "password1234", "passwordpassword", "qwertyuiop123", "1q2w3e4r5t6y")
"""Passwords of 12 characters or more that any list of guesses holds some of."""


def some_refused(answers: list[httpx.Response]) -> None:
    """At least one is a 4xx."""
    statuses = [answer.status_code for answer in answers]
    expect.that(any(400 <= status < 500 for status in statuses), "some of them to be refused", statuses)


def allowed_methods_are_told(response: httpx.Response) -> None:
    """A 405 says which methods there are; a 404 hides that there are any."""
    expect.status(response, 404, 405)
    if response.status_code == 405:
        expect.that(response.headers.get("allow"), "an Allow header", expect.shown(response))


def not_cached(response: httpx.Response) -> None:
    """A 200 that no cache keeps."""
    expect.status(response, 200)
    said = response.headers.get("cache-control", "")
    expect.that("no-store" in said or "private" in said, "Cache-Control: no-store", repr(said))


def not_sniffed(response: httpx.Response) -> None:
    """A 200 whose content type a browser does not guess."""
    expect.status(response, 200)
    said = response.headers.get("x-content-type-options", "")
    expect.equal(said.lower(), "nosniff", "X-Content-Type-Options")


def one_winner(send: Send, won: int = 201) -> None:
    """Of many equal requests at once one wins; the others are refused, none with a 5xx."""
    statuses = sorted(answer.status_code for answer in together([send] * 20))
    expect.equal(statuses.count(won), 1, f"number of {won} among {statuses}")
    others = [status for status in statuses if status != won]
    expect.that(set(others) <= {409, 429}, "409 (or 429) for the others", others)


def all_win(sends: list[Send], won: int = 201) -> None:
    """Different requests at once do not get into each other's way."""
    statuses = [answer.status_code for answer in together(sends)]
    expect.equal(set(statuses), {won}, f"statuses of {len(sends)} different requests at once")


def unique_in_the_database(service: Service, text: str) -> None:
    """The database itself refuses a second row with `text`, whatever the service looks up first."""
    expect.that(not service.takes_twice(text), "a constraint that refuses a second row", "a second row was taken")


def slow_hash(service: Service, email: str, password: str, register: Callable[[], object]) -> None:
    """The password is stored neither plain nor as a fast digest.

    A hash that names itself is told by its name; any other must take its time in `register`, beside an answer that
    hashes nothing.
    """
    values = [value for row in service.rows(email) for value in row.values()]
    expect.that(values, f"a row that holds {email}", "none")
    expect.equal([value for value in values if password in value], [], "values that hold the password")
    fast = [digest for value in values for digest in _fast(password) if digest in value]
    expect.equal(fast, [], "fast digests of the password")
    if any(_SLOW_HASH.search(value) for value in values):
        return
    took = _median(register) - _median(lambda: service.http.get("/healthz"))
    expect.that(took > _SLOW_SECONDS, "a hash that is made to be slow", f"{took * 1000:.1f} ms for an unknown one")


def _fast(password: str) -> list[str]:
    digests = [hashlib.new(name, password.encode()).digest() for name in _FAST_HASHES]
    return [d.hex() for d in digests] + [base64.b64encode(d).decode().rstrip("=") for d in digests]


def _median(call: Callable[[], object]) -> float:
    return statistics.median(_seconds(call) for _ in range(5))


def whole_password(service: Service, email: str, password: str, sent: httpx.Response) -> None:
    """A password of more than 72 bytes is refused, or all of it counts: bcrypt alone would drop the rest."""
    import bcrypt

    if sent.status_code != 201:
        refused(sent)
        return
    values = [value for row in service.rows(email) for value in row.values()]
    expect.that(values, f"a row that holds {email}", "none")
    for found in (_BCRYPT.search(value) for value in values):
        if found:
            other = password.encode()[:_BCRYPT_BYTES]
            expect.that(not bcrypt.checkpw(other, found[0].encode()), "all of it to count", "its first 72 bytes do")


def large_body_is_not_held(service: Service, path: str, head: bytes, content_type: str) -> None:
    """60 MiB in chunks are refused, and never held in memory; the service goes on."""
    before = service.state()["memory"]
    lines = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {content_type}\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = b""
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as connection:
        try:
            connection.sendall(lines.encode() + b"%x\r\n" % len(head) + head + b"\r\n")
            for _ in range(60 * MIB // len(_CHUNK)):
                connection.sendall(b"%x\r\n" % len(_CHUNK) + _CHUNK + b"\r\n")
            connection.sendall(b"0\r\n\r\n")
        except OSError:
            pass  # answered and closed before all was sent
        # What is left unread resets a connection that the service has closed.
        with contextlib.suppress(OSError):
            answer = connection.recv(4096)
    grown = service.state()["peak_memory"] - before
    expect.that(grown < 40 * MIB, "less than 40 MiB more memory for 60 MiB that are refused", f"{grown / MIB:.0f} MiB")
    first = answer.split(b"\r\n")[0].decode("latin-1")
    expect.that(not first or re.search(r" 4\d\d ", first), "a 4xx status, or an end of the connection", first)
    expect.status(service.http.get("/healthz"), 200)


def limited(send: Send, times: int = 150) -> None:
    """Somewhere among rapid requests of one client a 429 comes."""
    seen: list[int] = []
    for _ in range(0, times, _AT_ONCE):
        seen += [answer.status_code for answer in together([send] * _AT_ONCE)]  # else a slow hash is a limit by itself
        if 429 in seen:
            return
    expect.that(False, f"a 429 within {times} rapid requests of one client", f"statuses {sorted(set(seen))}")


def quick_meanwhile(service: Service, send: Callable[[int], httpx.Response]) -> None:
    """While slow requests are worked on, a cheap one takes far less time than they do: nothing slow holds it up.

    Both are timed beside each other, and only their ratio counts, so that a busy machine makes no difference.
    """
    over = threading.Event()
    waits: list[float] = []

    def watch() -> None:
        while not over.is_set():
            waits.append(_seconds(lambda: service.http.get("/healthz")))
            time.sleep(0.005)

    expect.status(service.http.get("/healthz"), 200)
    watcher = threading.Thread(target=watch)
    watcher.start()
    statuses: list[int] = []
    try:
        with ThreadPoolExecutor(_BUSY_CLIENTS) as pool:
            calls = [partial(_seconds, partial(_noted, send, n, statuses)) for n in range(_BUSY_REQUESTS)]
            slow = [future.result() for future in [pool.submit(call) for call in calls]]
    finally:
        over.set()
        watcher.join()
    expect.that({200, 201, 202} & set(statuses), "some of the slow requests to succeed", statuses)
    cheap, dear = statistics.median(waits), statistics.median(slow)
    expect.that(
        cheap < _CHEAP_SHARE * dear,
        f"a health check beside {_BUSY_CLIENTS} slow requests to take less than half of their time",
        f"{cheap * 1000:.0f} ms beside {dear * 1000:.0f} ms (medians of {len(waits)} and {len(slow)})",
    )


def _noted(send: Callable[[int], httpx.Response], number: int, statuses: list[int]) -> None:
    statuses.append(send(number).status_code)


def _seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def own_log_line(service: Service, act: Callable[[], object]) -> None:
    """What happened leaves a line in the log, beside the server's access log."""
    before = len(service.log())
    act()

    def lines() -> list[str]:
        new = service.log()[before:].splitlines()
        return [line for line in new if line.strip() and not _ACCESS_LOG.search(line)]

    expect.that(wait_until(lines, 3), "a line of the service's own in its log", service.log()[before:] or "nothing")


def ids_cannot_be_counted(ids: list[str]) -> None:
    """Ids give away neither how many there are nor which come next."""
    counted = [name for name in ids if re.fullmatch(r"\D{0,8}\d{1,15}", name)]
    expect.equal(counted, [], f"ids that are numbers, of {ids}")


def locked_database_is_unavailable(service: Service, send: Send, seconds: float = 15.0) -> None:
    """While another process holds the database, 503 within `seconds`, without a word about the inside."""
    with service.locked_database():
        began = time.monotonic()
        response = send()
        took = time.monotonic() - began
    expect.body(response, 503)
    expect.no_leak(response)
    expect.that(took < seconds, f"an answer within {seconds:g} s", f"{took:.1f} s")
