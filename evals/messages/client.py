"""One call of the Messages API: streamed, metered, and repeated under a deadline of our own.

The SDK's own retries are off: it obeys any `Retry-After`, and knows nothing of calls that break off midway.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import anyio

from evals.errors import EnvironmentFault, EvalsError, Fault
from evals.messages import cassette, troubles
from evals.messages.ledger import Meter
from evals.messages.pricing import Tokens, tokens_of
from evals.messages.throttle import Throttle

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic
    from anthropic.types import Message

_PATIENCE_SECONDS = 600.0
_CALL_SECONDS = 1800.0
_SILENCE_SECONDS = 180.0
_CONNECT_SECONDS = 20.0
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0
_MOST_STRANGE = 5
_CHARACTERS_A_TOKEN = 4


T = TypeVar("T")


Make = Callable[[], Mapping[str, Any]]
"""Makes a request; raises `OutOfRoom` where no limit leaves room for its answer."""


class TooLong(Exception):
    """The conversation no longer fits into the model's context window."""


class OutOfRoom(Exception):
    """A limit of the trial leaves no room for another answer."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A whole answer: the message as JSON, what it used, and what it cost in US dollars."""

    message: dict[str, Any]
    tokens: Tokens
    cost: float | None
    attempts: int


@dataclass(frozen=True, kw_only=True)
class Watch:
    """What is told of a call while it runs: that an attempt is under way, that its answer begins, that it failed."""

    started: Callable[[], None] = lambda: None
    began: Callable[[], None] = lambda: None
    failed: Callable[[str, float], None] = lambda _reason, _pause: None


def make_client(*, record: cassette.Cassette | None = None) -> AsyncAnthropic:
    """The SDK's client, without retries; `EnvironmentFault` where its settings cannot be used."""
    import anthropic
    import httpx2

    timeout = httpx2.Timeout(_SILENCE_SECONDS, connect=_CONNECT_SECONDS)
    http = anthropic.DefaultAsyncHttpxClient(transport=record, timeout=timeout) if record else None
    try:
        if record is not None and record.is_replay:
            return anthropic.AsyncAnthropic(api_key="none", base_url="http://replay", max_retries=0, http_client=http)
        return anthropic.AsyncAnthropic(max_retries=0, timeout=timeout, http_client=http)
    except (anthropic.AnthropicError, ValueError) as error:
        raise EnvironmentFault(f"the credential for the Messages API cannot be used: {error}") from None


class Caller:
    """Makes calls, bounded in number and repeated on failure for as long as `patience` seconds."""

    def __init__(self, client: AsyncAnthropic, throttle: Throttle, patience: float = _PATIENCE_SECONDS) -> None:
        self.client = client
        self._throttle = throttle
        self._patience = patience

    async def ask(self, make: Make, meter: Meter, call: cassette.Call, watch: Watch) -> Answer:
        """The whole answer to a request, which is made anew for each attempt: one that broke off has cost something.

        Raises what `make` raises, `TooLong`, `EnvironmentFault` where no other call would go better, and `Fault` for
        the rest.
        """
        token = cassette.current_call.set(call)
        try:
            answer, attempts = await self.insist(lambda: self._stream(make, meter, watch), watch)
        finally:
            cassette.current_call.reset(token)
        meter.retries += attempts - 1
        return replace(answer, attempts=attempts)

    async def insist(self, once: Callable[[], Awaitable[T]], watch: Watch) -> tuple[T, int]:
        """What a call gives, and after how many attempts; raises as `ask` does."""
        deadline = anyio.current_time() + self._patience
        attempts = strange = 0
        while True:
            attempts += 1
            found = await self._attempt(once, watch)
            if not isinstance(found, troubles.Trouble):
                return found, attempts
            strange += found.strange
            await self._pause(found, attempts, strange, deadline, watch)

    async def _attempt(self, once: Callable[[], Awaitable[T]], watch: Watch) -> T | troubles.Trouble:
        async with self._throttle.slot():
            watch.started()
            try:
                with anyio.fail_after(_CALL_SECONDS):
                    answer = await once()
            except OutOfRoom:
                raise
            except Exception as error:  # noqa: BLE001 - what the SDK raises on garbage is not one kind of error
                _raise_ours(error)
                return troubles.sort(error)
            self._throttle.went_well()
            return answer

    async def _stream(self, make: Make, meter: Meter, watch: Watch) -> Answer:
        snapshot: Message | None = None
        try:
            async with self.client.messages.stream(**make()) as stream:
                async for _ in stream:
                    if snapshot is None:
                        watch.began()
                    snapshot = stream.current_message_snapshot
            snapshot = _whole(snapshot)
        except BaseException:
            # However it broke off, what it had used until then is paid for.
            if snapshot is not None:
                meter.add(_used(snapshot), lost=True)
            raise
        tokens = tokens_of(snapshot.usage.model_dump())
        message = snapshot.model_dump(mode="json", exclude_none=True)
        return Answer(message=message, tokens=tokens, cost=meter.add(tokens), attempts=1)

    async def _pause(
        self, trouble: troubles.Trouble, attempts: int, strange: int, deadline: float, watch: Watch
    ) -> None:
        """Wait before the next attempt, or raise where there is none."""
        if trouble.remedy == "too long":
            raise TooLong(trouble.reason)
        if trouble.remedy == "stop":
            raise EnvironmentFault(f"the Messages API refuses: {trouble.reason}")
        # Full jitter (Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).
        pause = random.uniform(0, min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** (attempts - 1)))  # noqa: S311
        pause = max(pause, trouble.wait or 0.0)
        over = anyio.current_time() + pause > deadline
        if trouble.remedy == "give up" or over or strange >= _MOST_STRANGE:
            raise Fault("solve", f"the Messages API, after {attempts} attempts: {trouble.reason}")
        if trouble.busy:
            self._throttle.refused(pause)
        watch.failed(trouble.reason, pause)
        await anyio.sleep(pause)


def _whole(snapshot: Message | None) -> Message:
    if snapshot is None or snapshot.stop_reason is None:
        raise ConnectionError("the stream ended in the middle of the message")
    return snapshot


def _raise_ours(error: BaseException | None) -> None:
    """Raise what the transport of ours raised; the SDK takes any error there for a lost connection."""
    while error is not None:
        if isinstance(error, EvalsError):
            raise error
        error = error.__cause__ or error.__context__


def _used(snapshot: Message) -> Tokens:
    """What a message had used when it broke off; its output is estimated from what came."""
    tokens = tokens_of(snapshot.usage.model_dump())
    came = len(str([block.model_dump() for block in snapshot.content]))
    return tokens + Tokens(output=max(0, came // _CHARACTERS_A_TOKEN - tokens.output))
