"""What a solver did, for people: a line for each turn, its words, its tool calls, and what they gave."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from evals.reports.terminal import printable

if TYPE_CHECKING:
    from rich.console import Console

_SHOWN_LINES = 40
_HALF = _SHOWN_LINES // 2


def print_transcript(out: Console, events: Iterable[Mapping[str, Any]]) -> None:
    """Everything in its order; long outputs are cut in the middle. Control characters of a model are not obeyed."""
    for event in events:
        for style, line in _lines(event):
            out.print(printable(line), style=style, markup=False, highlight=False, soft_wrap=True)


def _lines(event: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    name = event["event"]
    if name == "begin":
        yield "bold", f"{event['agent']} on {event['task']}, {event['stack']}, epoch {event['epoch']}"
        yield "dim", f"model {event['model']}, {_options(event['options'])}"
        yield from _block("bold blue", "system", event["system"])
        yield from _block("bold blue", "user", event["user"])
    elif name == "assistant":
        yield from _turn(event)
    elif name == "tool":
        mark = "error" if event["is_error"] else "gives"
        yield from _block("red" if event["is_error"] else "green", f"{event['name']} {mark}", event["output"])
    elif name == "retry":
        yield "yellow", f"again in {event['pause']:g} s: {event['reason']}"
    elif name == "end":
        cost = "" if event["cost_usd"] is None else f", ${event['cost_usd']:.4f}"
        yield "bold", f"ended: {event['ended']}{cost}"


def _options(options: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in options.items() if value is not None)


def _turn(event: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    tokens, cost = event["tokens"], event["cost_usd"]
    read = tokens["input"] + tokens["cache_read"] + tokens["cache_write_5m"] + tokens["cache_write_1h"]
    shown = "" if cost is None else f", ${cost:.4f}"
    counts = f"{read} tokens read ({tokens['cache_read']} cached), {tokens['output']} written{shown}"
    yield "bold magenta", f"turn {event['turn']}: {counts}, {event['seconds']:.1f} s, {event['stop_reason']}"
    for block in event["content"]:
        if block["type"] == "thinking":
            yield from _block("dim", "thinks", block.get("thinking", ""))
        elif block["type"] == "text":
            yield from _block("bold", "says", block["text"])
        elif block["type"] == "tool_use":
            yield from _block("cyan", f"calls {block['name']}", arguments(block["input"]))


def arguments(given: Any) -> str:
    """What a tool is called with, a line for each."""
    if not isinstance(given, Mapping):
        return str(given)
    return "\n".join(f"{name}: {value}" for name, value in given.items())


def _block(style: str, title: str, text: str) -> Iterator[tuple[str, str]]:
    lines = text.splitlines()
    if len(lines) > _SHOWN_LINES:
        cut = len(lines) - _SHOWN_LINES
        lines = [
            *lines[:_HALF],
            f"[... {cut} lines; all of them stand in the trial's events.jsonl ...]",
            *lines[-_HALF:],
        ]
    yield style, title
    for line in lines:
        yield "", f"  {line}"
