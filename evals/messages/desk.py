"""What solvers that call a model share: the connection, the run's budget, and who goes first to fill the cache."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio

from evals import digests
from evals.errors import EnvironmentFault, InputError
from evals.messages import cassette, pricing, troubles
from evals.messages.client import Caller, make_client
from evals.messages.ledger import Ledger, Meter
from evals.messages.throttle import Throttle
from evals.types import Assignment, Revision, Settings, SolverOptions, Stack, Task

MOST_CALLS = 16
"""Calls under way at once, however many trials there are."""

_CACHE_SECONDS = 120.0
"""How long others wait for the first trial's answer to begin."""


def frame_options(settings: Settings) -> dict[str, Any]:
    """The parts of a request that settings decide."""
    effort = settings.options["effort"]
    options: dict[str, Any] = {"model": settings.model}
    if effort != "none":
        options["output_config"] = {"effort": effort}
    return options


@dataclass(kw_only=True)
class Desk:
    """Shared by all trials of a solver."""

    options: SolverOptions
    ledger: Ledger = field(init=False)
    _caller: Caller | None = None
    _first: dict[tuple[str, str, str], anyio.Event] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.ledger = Ledger(limit=self.options.max_cost)

    @property
    def replays(self) -> bool:
        """Whether recorded answers stand in for the API."""
        return self.options.replay is not None

    @property
    def caller(self) -> Caller:
        """Makes calls while the desk is open."""
        assert self._caller is not None, "the desk is not open"
        return self._caller

    @asynccontextmanager
    async def open(self, models: set[str]) -> AsyncIterator[None]:
        """Connect, and make sure of key, models and prices before anything is spent."""
        self._check_prices(models)
        client = make_client(record=self._cassette())
        self._caller, self._first = Caller(client, Throttle(MOST_CALLS)), {}
        try:
            if self.options.replay is None:
                for model in sorted(models):
                    await self._check_model(client, model)
            yield
        finally:
            self._caller = None
            with anyio.CancelScope(shield=True):
                await client.close()

    def _cassette(self) -> cassette.Cassette | None:
        if self.options.replay is not None:
            if not self.options.replay.is_dir():
                raise InputError(f"--replay {self.options.replay}: is not a folder")
            return cassette.Cassette(self.options.replay, "replay")
        if self.options.record is not None:
            import httpx2

            return cassette.Cassette(self.options.record, "record", httpx2.AsyncHTTPTransport())
        return None

    def _check_prices(self, models: set[str]) -> None:
        unpriced = sorted(model for model in models if pricing.prices_of(model) is None)
        if not unpriced:
            return
        if self.options.max_cost is not None or self.options.max_trial_cost is not None:
            raise InputError(f"--max-cost: the price of {unpriced[0]} is not known, so that it cannot be kept")
        self.options.tell(f"the price of {unpriced[0]} is not known: costs are not counted, and no budget is kept")

    async def _check_model(self, client: Any, model: str) -> None:
        """Ask for the model, which costs nothing. A gateway that cannot tell is no reason to stop."""
        try:
            await client.models.retrieve(model, timeout=30.0)
        except Exception as error:  # noqa: BLE001 - what the SDK raises on garbage is not one kind of error
            trouble = troubles.sort(error)
            status = getattr(error, "status_code", None)
            if status == 404 and "not_found_error" in trouble.reason:
                raise InputError(
                    f"--model {model}: the Messages API has no such model ({trouble.reason}); "
                    f"see the provider's list of models"
                ) from None
            if trouble.remedy == "stop" and status != 404:
                raise EnvironmentFault(f"the Messages API refuses: {trouble.reason}") from None
            if status is None and not trouble.strange:
                raise EnvironmentFault(f"the Messages API at {client.base_url}: {trouble.reason}") from None

    def meter(self, settings: Settings, *, batch: bool = False) -> Meter:
        """Counts what a trial uses."""
        return Meter(prices=pricing.prices_of(str(settings.model)), batch=batch)

    def call(
        self, assignment: Assignment, settings: Settings, turn: int, changed: Callable[[int], None]
    ) -> cassette.Call:
        """Names a call among recorded ones."""
        revision = assignment.revision
        place = Path(revision.agent, revision.digest[:12], assignment.task.id, assignment.stack.name)
        model = str(settings.model).replace("/", "_")
        named = f"{settings.solver}.{model}.{digests.of_options(settings.options)}"
        return cassette.Call(place=place / named / str(assignment.epoch), turn=turn, changed=changed)

    async def turn_to_cache(self, assignment: Assignment, turn: int) -> None:
        """Let the first trial of a prompt and task go ahead, so that the others read what it writes to the cache.

        An answer that begins says that the prompt has been read, and can be found.
        """
        key = (assignment.revision.digest, assignment.task.id, assignment.stack.name)
        event = self._first.get(key)
        if event is None:
            self._first[key] = anyio.Event()
        elif turn == 1:
            with anyio.move_on_after(_CACHE_SECONDS):
                await event.wait()

    @contextmanager
    def first(self, assignment: Assignment) -> Iterator[None]:
        """However a trial ends, nobody waits for it any longer."""
        try:
            yield
        finally:
            self.cached(assignment)

    def cached(self, assignment: Assignment) -> None:
        """An answer has begun."""
        event = self._first.get((assignment.revision.digest, assignment.task.id, assignment.stack.name))
        if event is not None:
            event.set()


@dataclass(kw_only=True)
class AtDesk:
    """What solvers that call a model have in common."""

    options: SolverOptions
    desk: Desk

    @property
    def spent(self) -> float:
        """US dollars so far, faults and what was interrupted included."""
        return self.desk.ledger.spent

    def epochs(self, revision: Revision, task: Task, stack: Stack) -> Sequence[int] | None:
        """Any number."""
        del revision, task, stack
        return None

    def tell_ignored(self, revision: Revision, solver: str) -> None:
        """Tell which fields of the front matter no solver here honours."""
        for name in sorted({"permissionMode", "skills", "mcpServers"} & set(revision.acting_fields)):
            self.options.tell(f"{revision.spelled}: {name} has no effect under --solver {solver}")
