"""Runs a task's checks: `main` reads its settings from the first argument (JSON).

Settings: `checks` (the folder), `shared` (folders of other tasks' checks, which these may import), `ids` (which to
run), `seed`, `env` (the service's usual environment), `seconds` (the time limit of one check), `any_errors` and
`many_clients` (see `expect.Errors` and `service.Clients`), `report` (where results go, as JSON lines).
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from evals.arena.kit.channel import ArenaError, Channel
from evals.arena.kit.data import Data
from evals.arena.kit.expect import Errors, Unmet
from evals.arena.kit.mail import Mail
from evals.arena.kit.service import Clients, Service, Start

CONTROL_SOCKET = "/control/socket"
_MESSAGE_LIMIT = 4000


class Report:
    """Appends events to the report; each line is whole before the next check begins."""

    def __init__(self, path: str) -> None:
        self._file = Path(path).open("a", encoding="utf-8")  # noqa: SIM115 (open as long as we run)

    def write(self, event: str, **values: Any) -> None:
        """One event."""
        self._file.write(json.dumps({"event": event, **values}) + "\n")
        self._file.flush()


class Reporting:
    """The pytest plugin that turns outcomes into events, and bounds each check's time."""

    def __init__(self, report: Report, ids: frozenset[str], seconds: float) -> None:
        self._report = report
        self._ids = ids
        self._seconds = seconds

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Keep the wanted checks, and say which there are."""
        self._report.write("begin", collected=[item.name for item in items])
        items[:] = [item for item in items if item.name in self._ids]

    def _out_of_time(self, _signal: int, _frame: object) -> None:
        raise Unmet(f"an end within {self._seconds:g} s", "none")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Announce the check and start its clock."""
        self._report.write("start", id=item.name)
        signal.signal(signal.SIGALRM, self._out_of_time)
        signal.setitimer(signal.ITIMER_REAL, self._seconds)
        try:
            return (yield)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Write a check's outcome: of its call, or of a set-up that failed."""
        result = yield
        if call.when == "call" or (call.when == "setup" and result.outcome != "passed"):
            expected, came = _difference(call, result)
            self._report.write(
                "check",
                id=item.name,
                outcome="arena" if call.excinfo and call.excinfo.errisinstance(ArenaError) else result.outcome,
                expected=expected[:_MESSAGE_LIMIT],
                came=came[:_MESSAGE_LIMIT],
                seconds=round(result.duration, 3),
            )
        return result


def _difference(call: pytest.CallInfo[None], result: pytest.TestReport) -> tuple[str, str]:
    if call.excinfo is None:
        return "", ""
    error = call.excinfo.value
    if isinstance(error, Unmet):
        return error.expected, error.came
    crash = getattr(result.longrepr, "reprcrash", None)
    return "", crash.message if crash is not None else repr(error)


class Fixtures:
    """The fixtures that checks use."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self._seed = str(settings["seed"])
        self._env: dict[str, str] = settings["env"]
        self._channel = Channel(CONTROL_SOCKET)
        self._shared: Service | None = None
        self._broken: Unmet | None = None
        self._mail = Mail(self._channel)

    @pytest.fixture
    def data(self, request: pytest.FixtureRequest) -> Data:
        """Random values of this check."""
        return Data(self._seed, request.node.name)

    @pytest.fixture
    def start(self) -> Iterator[Start]:
        """Instances of this check's own."""
        start = Start(self._channel, self._env)
        yield start
        start.remove_all()

    @pytest.fixture
    def service(self) -> Service:
        """The shared instance, made anew where an earlier check brought it down."""
        if self._broken is not None:
            raise self._broken
        if self._shared is not None and not self._shared.state()["running"]:
            self._shared.remove()
            self._shared = None
        if self._shared is None:
            try:
                self._shared = Start(self._channel, self._env)()
            except Unmet as unmet:
                self._broken = unmet
                raise
        return self._shared

    @pytest.fixture
    def mail(self) -> Iterator[Mail]:
        """The mail sink, empty and accepting."""
        self._mail.reset()
        yield self._mail
        self._mail.reset()


def main() -> None:
    """Run the checks and write the report."""
    settings = json.loads(sys.argv[1])
    report = Report(settings["report"])
    sys.path.extend(settings["shared"])
    Errors.any_json, Clients.many = settings["any_errors"], settings["many_clients"]
    plugins = [
        Reporting(report, frozenset(settings["ids"]), settings["seconds"]),
        Fixtures(settings),
    ]
    options = ["-q", "--noconftest", "-p", "no:cacheprovider", "--import-mode=importlib", "--tb=short"]
    options += ["-c", "/dev/null", "--rootdir", settings["checks"], "-o", "python_files=checks_*.py"]
    status = pytest.main([*options, settings["checks"]], plugins=plugins)
    report.write("end", status=int(status))
