"""The parts that calls of the Messages API are made of."""

import json
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.catalog import agents
from evals.errors import Fault, NotStarted
from evals.messages import cassette, models, pricing, sse, tools
from evals.messages.client import Caller, Watch, make_client
from evals.messages.ledger import Ledger, Meter
from evals.messages.limits import Limits
from evals.messages.pricing import Tokens
from evals.messages.throttle import Throttle
from tests.conftest import Serve
from tests.messages_server import MODEL, Reply, events, in_turn

counts = st.integers(0, 10**7)
tokens = st.builds(Tokens, input=counts, output=counts, cache_read=counts, cache_write_5m=counts, cache_write_1h=counts)


def test_prices_are_those_of_the_list() -> None:
    prices = pricing.prices_of("claude-opus-5-5")
    assert prices is not None
    assert prices.cost(Tokens(input=1_000_000)) == pytest.approx(4)
    assert prices.cost(Tokens(output=1_000_000)) == pytest.approx(20)
    assert prices.cost(Tokens(cache_read=1_000_000)) == pytest.approx(0.2)
    assert prices.cost(Tokens(cache_write_5m=1_000_000)) == pytest.approx(5)
    assert prices.cost(Tokens(cache_write_1h=1_000_000)) == pytest.approx(8)
    assert prices.cost(Tokens(output=1_000_000), batch=True) == pytest.approx(10)
    assert "claude-opus-5-5" in prices.snapshot
    assert pricing.prices_of("no-such-model") is None


@given(tokens, tokens)
def test_costs_add_up(one: Tokens, other: Tokens) -> None:
    prices = pricing.prices_of("claude-sonnet-5")
    assert prices is not None
    both = Meter(prices=prices)
    total = (both.add(one) or 0) + (both.add(other) or 0)
    assert both.cost == pytest.approx(total)
    assert both.tokens == one + other
    assert prices.cost(one) >= 0
    assert 0 <= one.cache_hit_share <= 1


@given(st.floats(0, 20), st.integers(0, 800_000))
def test_an_answer_that_is_allowed_can_be_paid_for(dollars: float, prompt: int) -> None:
    prices = pricing.prices_of("claude-haiku-5-5")
    assert prices is not None
    room = Limits(cost=dollars).answer_tokens(Meter(prices=prices), prompt)
    if room:
        assert prices.cost(Tokens(cache_write_5m=prompt, output=room)) <= dollars + 1e-9


@given(st.lists(st.tuples(st.floats(0.01, 3), st.floats(0, 1)), max_size=20), st.floats(0, 10))
def test_a_run_never_spends_more_than_its_budget(trials: list[tuple[float, float]], limit: float) -> None:
    ledger = Ledger(limit=limit)
    for most, share in trials:
        meter = Meter(prices=None, cost=most * share)
        try:
            with ledger.room_for(most, meter):
                assert ledger.spent + ledger.reserved <= limit + 1e-6
        except NotStarted:
            assert ledger.spent + most > limit
    assert ledger.reserved == pytest.approx(0, abs=1e-9)
    assert ledger.spent <= limit + 1e-6


def test_refusals_halve_what_is_under_way_and_answers_bring_it_back() -> None:
    throttle = Throttle(8)
    throttle_limits = []

    async def run() -> None:
        for pause in (0.0, 0.0, 0.0, 0.0, 0.0):
            throttle.refused(pause)
            throttle_limits.append(throttle.limit)
        for _ in range(60):
            throttle.went_well()

    anyio.run(run)
    assert throttle_limits == [4, 2, 1, 1, 1]
    assert throttle.limit == 8


@pytest.mark.parametrize("limit", [1, 3])
def test_no_more_calls_are_under_way_than_allowed(limit: int) -> None:
    running, most = 0, 0

    async def run() -> None:
        throttle = Throttle(limit)

        async def one() -> None:
            nonlocal running, most
            async with throttle.slot():
                running += 1
                most = max(most, running)
                await anyio.sleep(0.001)
                running -= 1

        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(one)

    anyio.run(run)
    assert most == limit


def ask(*, patience: float) -> Any:
    request = {"model": MODEL, "max_tokens": 100, "system": "x", "messages": [{"role": "user", "content": "x"}]}

    async def run() -> Any:
        client = make_client()
        caller = Caller(client, Throttle(1), patience)
        call = cassette.Call(place=Path("x"), turn=1, changed=lambda _: None)
        try:
            return await caller.ask(lambda: request, Meter(prices=None), call, Watch())
        finally:
            await client.close()

    return anyio.run(run)


def test_patience_ends_in_a_fault(serve: Serve) -> None:
    server = serve(in_turn(Reply(status=529, error="overloaded_error", message="busy")))
    with pytest.raises(Fault, match=r"after \d+ attempts: 529 overloaded_error: busy"):
        ask(patience=1.5)
    assert len(server.requests) > 1


def test_an_api_that_asks_for_more_patience_than_there_is_gets_none(serve: Serve) -> None:
    server = serve(in_turn(Reply(status=429, error="rate_limit_error", headers={"retry-after": "3600"})))
    with pytest.raises(Fault, match="after 1 attempts: 429"):
        ask(patience=60)
    assert len(server.requests) == 1


blocks = st.lists(
    st.one_of(
        st.builds(lambda said: {"type": "text", "text": said}, st.text()),
        st.builds(
            lambda n, given: {"type": "tool_use", "id": f"t{n}", "name": "bash", "input": given},
            st.integers(0, 9),
            st.dictionaries(st.text(max_size=5), st.text()),
        ),
        st.builds(lambda t: {"type": "thinking", "thinking": t, "signature": "s"}, st.text()),
    ),
    max_size=4,
)


@given(blocks, st.integers(0, 30))
def test_a_stream_is_put_together_as_far_as_it_came(found: list[dict[str, Any]], cut: int) -> None:
    stream = events(Reply(blocks=tuple(found), stop="end_turn"), MODEL)
    lines = [f"event: {name}\ndata: {json.dumps({'type': name, **content})}\n\n".encode() for name, content in stream]
    message = sse.message_of(b"".join(lines))
    assert message["content"] == found
    assert message["stop_reason"] == "end_turn"
    assert message["usage"]["output_tokens"] == 50
    partial = sse.message_of(b"".join(lines[:cut]) + b"".join(lines[cut : cut + 1])[:9])
    assert partial == {} or partial.get("stop_reason") in (None, "end_turn")


@given(st.binary())
def test_any_bytes_are_no_message_or_one(body: bytes) -> None:
    assert isinstance(sse.message_of(body), dict)
    assert sse.message_of(b'data: {"type": "message_start", "message": {}}\n\ndata: ' + body) is not None
    assert sse.message_of(b'data: {"type": "content_block_delta", "index": 3}') == {}


names = st.sampled_from(["Bash", "Read", "Write", "Edit", "Glob", "Grep", "WebFetch", "Bash(git:*)", "Task", "*"])


@given(st.none() | st.lists(names), st.lists(names))
def test_only_tools_that_were_asked_for_are_offered(wanted: list[str] | None, refused: list[str]) -> None:
    head = "" if wanted is None else f"tools: {json.dumps(wanted)}\n"
    data = f"---\nname: a\ndescription: b\n{head}disallowedTools: {json.dumps(refused)}\n---\nbody".encode()
    found = tools.offer(agents.parse(data, variant=None, spelled="a", source="a"))
    offered = {definition["name"] for definition in found.definitions}
    bare = {name.partition("(")[0] for name in wanted or []}
    if wanted is not None and "*" not in bare:
        assert ("bash" in offered) <= ("Bash" in bare)
    assert not ({"Bash"} & set(refused) and "bash" in offered)
    assert ("view" in found.commands) <= ("Read" not in refused)
    assert len(offered) == len(found.definitions)


@pytest.mark.parametrize(
    ("environ", "found"),
    [
        ({}, False),
        ({"ANTHROPIC_API_KEY": "x"}, True),
        ({"ANTHROPIC_API_KEY": ""}, False),
        ({"ANTHROPIC_AUTH_TOKEN": "x"}, True),
        ({"ANTHROPIC_FEDERATION_RULE_ID": "x"}, False),
        ({"ANTHROPIC_FEDERATION_RULE_ID": "x", "ANTHROPIC_ORGANIZATION_ID": "y"}, True),
    ],
)
def test_credentials_are_seen(environ: dict[str, str], tmp_path: Path, *, found: bool) -> None:
    assert models.has_credential({"HOME": str(tmp_path), **environ}) is found


def test_a_profile_on_disk_is_a_credential(tmp_path: Path) -> None:
    folder = tmp_path / ".config" / "anthropic" / "configs"
    folder.mkdir(parents=True)
    (folder / "work.json").write_text("{}")
    assert models.has_credential({"HOME": str(tmp_path)}) is False
    (folder.parent / "active_config").write_text("work\n")
    assert models.has_credential({"HOME": str(tmp_path)}) is True
