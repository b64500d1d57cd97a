"""The service under test, as checks see it: HTTP, and what the control channel offers."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

import httpx

from evals.arena.kit import expect
from evals.arena.kit.channel import Channel
from evals.arena.kit.expect import Unmet

START_SECONDS = 30.0
_IMPATIENT_SECONDS = 5.0
_READY_POLL_SECONDS = 0.01
_ANSWER_BYTES = 64 * 1024 * 1024
_ANSWER_SECONDS = 60.0
_TIMEOUT = httpx.Timeout(30.0)
# A connection for each request: a server may close a kept one after an error at any moment, and the
# reset would look like a failure of the next check.
_CONNECTIONS = httpx.Limits(max_connections=200, max_keepalive_connections=0)

T = TypeVar("T")

_silent: list[int] = []
"""Instances that ran and never answered: after the second, the others of this trial are waited for less long."""


class _Bounded(httpx.SyncByteStream):
    """A body that is read up to a size and a time, so that an answer without end ends."""

    def __init__(self, stream: httpx.SyncByteStream) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        read, deadline = 0, time.monotonic() + _ANSWER_SECONDS
        for part in self._stream:
            read += len(part)
            if read > _ANSWER_BYTES or time.monotonic() > deadline:
                raise httpx.ReadError(f"the answer does not end: {read} bytes so far")
            yield part

    def close(self) -> None:
        self._stream.close()


class _Transport(httpx.HTTPTransport):
    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = super().handle_request(request)
        assert isinstance(response.stream, httpx.SyncByteStream)
        response.stream = _Bounded(response.stream)
        return response


class Clients:
    """Addresses that requests come from: 127.0.0.1, or with `many` a new one of 127.0.0.0/8 for each.

    With `many`, a service that limits what one client may do is not met by its limit by accident.
    """

    many = False
    _numbers = itertools.count(256)

    @classmethod
    def next(cls) -> str | None:
        """The address of the next request; None is any."""
        if not cls.many:
            return None
        number = next(cls._numbers)
        return f"127.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255 or 1}"


class _Everywhere(httpx.BaseTransport):
    """Each request comes from the next of the clients' addresses."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return _transport(Clients.next()).handle_request(request)


def _transport(address: str | None) -> httpx.BaseTransport:
    # Nothing here speaks TLS, and reading the certificates of the system takes longer than a request.
    return _Transport(limits=_CONNECTIONS, trust_env=False, local_address=address, verify=False)


def _client(port: int, transport: httpx.BaseTransport) -> httpx.Client:
    return httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=_TIMEOUT, transport=transport, trust_env=False)


class Service:
    """One running instance. `http` sends requests to it; redirects are not followed."""

    def __init__(self, channel: Channel, instance: int, port: int) -> None:
        self._channel = channel
        self._instance = instance
        self.port = port
        self.http = _client(port, _Everywhere() if Clients.many else _transport(None))

    def one_client(self) -> httpx.Client:
        """A client all of whose requests come from one address."""
        return _client(self.port, _transport(Clients.next()))

    def ask(self, do: str, **request: Any) -> Any:
        """A request of the control channel about this instance."""
        return self._channel.ask(do, instance=self._instance, **request)

    def wait_ready(self) -> Service:
        """Wait until it answers HTTP; `Unmet` where it ends or stays silent instead."""
        deadline = time.monotonic() + (START_SECONDS if len(_silent) < 2 else _IMPATIENT_SECONDS)
        while time.monotonic() < deadline:
            try:
                self.http.get("/healthz", timeout=5.0)
            except httpx.TransportError:
                if not self.state()["running"]:
                    break
                time.sleep(_READY_POLL_SECONDS)
            else:
                return self
        else:
            _silent.append(self._instance)
        raise Unmet("the service to start and answer", f"{self.state()}; log: {self.log()[-1500:]}")

    def state(self) -> dict[str, Any]:
        """`running`, `status` (exit status once it has ended), `memory` and `peak_memory` in bytes."""
        answer: dict[str, Any] = self.ask("state")
        return answer

    def wait_ended(self, seconds: float = START_SECONDS) -> int | None:
        """The exit status once it has ended by itself, or None where it still runs after `seconds`."""
        wait_until(lambda: not self.state()["running"], seconds)
        status: int | None = self.state()["status"]
        return status

    def stop(self, grace: float = 15.0) -> None:
        """SIGTERM, then SIGKILL."""
        self.ask("stop", grace=grace)

    def kill(self) -> None:
        """SIGKILL."""
        self.ask("kill")

    def launch(self) -> Service:
        """Start it again after `stop` or `kill`, on the same files."""
        self.ask("launch")
        return self.wait_ready()

    def restart(self) -> Service:
        """Stop and start it."""
        self.stop()
        return self.launch()

    def log(self) -> str:
        """What it has printed."""
        text: str = self.ask("log")
        return text

    def find(self, *needles: str) -> dict[str, list[str]]:
        """For each text, the files of the service that hold it."""
        found: dict[str, list[str]] = self.ask("find", needles=list(needles))
        return found

    def files(self) -> list[str]:
        """The files that it has made, relative to its folder: `state/...` and `workspace/...`."""
        names: list[str] = self.ask("files")
        return names

    @contextmanager
    def locked_database(self) -> Iterator[None]:
        """Hold the database under another process's exclusive lock."""
        self.ask("lock")
        try:
            yield
        finally:
            self.ask("unlock")

    def drop_tables(self) -> None:
        """Take the tables out of its database: something that no service expects."""
        self.ask("drop_tables")

    def rows(self, text: str) -> list[dict[str, str]]:
        """The rows of its database of which some value holds a text, whatever its case; values as text."""
        found: list[dict[str, str]] = self.ask("rows", text=text)
        return found

    def takes_twice(self, text: str) -> bool:
        """Whether its database itself would take a second row like the one that holds a text."""
        return bool(self.ask("twice", text=text))

    def remove(self) -> None:
        """Stop it and free its files."""
        self.http.close()
        self.ask("remove")


class Start:
    """Makes instances of a check's own, and removes them when the check is over."""

    def __init__(self, channel: Channel, template: Mapping[str, str]) -> None:
        self._channel = channel
        self._template = dict(template)
        self._made: list[Service] = []

    def __call__(self, **env: str | None) -> Service:
        """A ready instance; `env` changes the task's usual environment, None takes a variable away."""
        return self.without_waiting(**env).wait_ready()

    def without_waiting(self, **env: str | None) -> Service:
        """An instance that is not waited for: it may be meant not to start."""
        made = self._channel.ask("start", env=env, template=self._template)
        service = Service(self._channel, made["instance"], made["port"])
        self._made.append(service)
        return service

    def remove_all(self) -> None:
        """Remove every instance made so far."""
        while self._made:
            self._made.pop().remove()


def stops(service: Service, start: Start, **env: str | None) -> str:
    """The log of an instance that must not start; the shared one shows that the service can."""
    expect.status(service.http.get("/healthz"), 200)
    instance = start.without_waiting(**env)
    status = instance.wait_ended()
    expect.that(status not in (None, 0), f"a non-zero exit status with {env}", status)
    expect.that(instance.log().strip(), "a message", "nothing")
    return instance.log()


def wait_until(condition: Callable[[], object], seconds: float, *, every: float = 0.05) -> bool:
    """Poll a condition until it holds, at most `seconds`; tells whether it did."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(every)
    return True


def together(calls: Sequence[Callable[[], T]]) -> list[T]:
    """Make all calls at the same time, each in a thread; their results in order."""
    with ThreadPoolExecutor(max_workers=len(calls)) as pool:
        return [future.result() for future in [pool.submit(call) for call in calls]]
