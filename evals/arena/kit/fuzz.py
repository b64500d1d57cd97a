"""Requests made by schemathesis from a task's OpenAPI description: half of them fit it, half do not.

Which requests are made depends on the seed alone; how many, also on the time there is.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evals.arena.kit import expect
from evals.arena.kit.expect import Unmet

if TYPE_CHECKING:
    import requests

    from evals.arena.kit.service import Service

_EXAMPLES = 30
_SECONDS = 20.0
_SHOWN = 600
_REQUEST_SECONDS = 15.0
# Nothing in a request tells who sends it.
_TELLING = frozenset({"x-schemathesis-testcaseid", "user-agent"})

Headers = dict[str, str]


def no_server_error(
    service: Service, description: Path, seed: random.Random, headers: Callable[[], Headers] = dict
) -> None:
    """No request is answered with a status of 500 or above. `headers` is asked for each operation anew."""
    from schemathesis.checks import not_a_server_error

    _Sweep(service=service, wanted=[not_a_server_error], headers=headers, seed=seed.getrandbits(32)).run(description)


def answers_fit(
    service: Service, description: Path, seed: random.Random, headers: Callable[[], Headers] = dict
) -> None:
    """Every answer has a status, a content type and a body that the description gives for its operation."""
    from schemathesis.specs.openapi import checks

    wanted = [checks.status_code_conformance, checks.content_type_conformance, checks.response_schema_conformance]
    _Sweep(service=service, wanted=wanted, headers=headers, seed=seed.getrandbits(32)).run(description)


@dataclass(kw_only=True)
class _Sweep:
    """Goes through the operations of a description, each with its share of the time."""

    service: Service
    wanted: list[Any]
    headers: Callable[[], Headers]
    seed: int
    failures: list[Unmet] = field(default_factory=list)
    answered: int = 0

    def run(self, description: Path) -> None:
        """Every operation with requests that fit, then with such that do not; raises the first failure."""
        import schemathesis

        expect.status(self.service.http.get("/healthz"), 200)
        operations = [found.ok() for found in schemathesis.openapi.from_path(description).get_all_operations()]
        parts = [(operation, mode) for operation in operations for mode in schemathesis.GenerationMode]
        for operation, mode in parts:
            self._part(operation, mode, seconds=_SECONDS / len(parts))
            if self.failures:
                raise self.failures[0]
        if not self.answered:
            raise Unmet("an answer to some request", "none")

    def _part(self, operation: Any, mode: Any, seconds: float) -> None:
        from hypothesis import HealthCheck, Phase, given, settings
        from hypothesis import seed as seeded
        from hypothesis.errors import Unsatisfiable

        deadline = time.monotonic() + seconds
        headers = self.headers()
        # Headers are never spoilt: what a server makes of bad ones is its own affair, and no sentence is about it.
        fixed: dict[str, Headers] = {"headers": {}} if mode.is_negative else {}

        @seeded(self.seed)
        @settings(
            max_examples=_EXAMPLES,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode, **fixed))
        def one(case: Any) -> None:
            # A failure is kept and not raised: a replay of the request could end otherwise.
            if not self.failures and time.monotonic() < deadline:
                self._send(case, headers)

        try:
            one()
        except Unsatisfiable:
            return

    def _send(self, case: Any, headers: Headers) -> None:
        import requests
        from requests.exceptions import InvalidHeader, InvalidURL

        request = case.as_transport_kwargs(base_url=f"http://127.0.0.1:{self.service.port}")
        kept = {name: value for name, value in request["headers"].items() if name.lower() not in _TELLING}
        request |= {"headers": kept | headers, "allow_redirects": False}
        try:
            with _session() as session:
                response = session.request(**request, timeout=_REQUEST_SECONDS)
        except (InvalidHeader, InvalidURL, UnicodeError):
            return  # no request at all
        except requests.RequestException as error:
            self.failures.append(Unmet(f"an answer to {_request(case)}", repr(error)[:_SHOWN]))
            return
        self.answered += 1
        self._judge(case, response)

    def _judge(self, case: Any, response: Any) -> None:
        from schemathesis.core.failures import FailureGroup

        try:
            case.validate_response(response, checks=self.wanted)
        except FailureGroup as group:
            said = "; ".join(failure.title for failure in group.exceptions)
            came = f"{response.status_code} {response.text[:_SHOWN]}"
            self.failures.append(Unmet(f"what the description says of {_request(case)}", f"{said}: {came}"))


def _session() -> requests.Session:
    """A session whose connections come from the next of the clients' addresses."""
    import requests
    from requests.adapters import HTTPAdapter

    from evals.arena.kit.service import Clients

    session = requests.Session()
    session.trust_env = False
    adapter = HTTPAdapter()
    if (address := Clients.next()) is not None:
        adapter.init_poolmanager(1, 1, source_address=(address, 0))
    session.mount("http://", adapter)
    return session


def _request(case: Any) -> str:
    return f"{case.method} {case.formatted_path} {case.query or ''} {str(case.body)[:_SHOWN]}"
