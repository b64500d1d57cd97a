"""The page of one trial."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from evals.reports.dossier import checks_of
from evals.reports.terminal import printable
from evals.reports.transcript import arguments
from evals.store import Trial

if TYPE_CHECKING:
    from evals.reports.page import Sources

_MOST_CHARACTERS = 200_000


def values(trial: Trial, sources: Sources) -> dict[str, Any]:
    """What it shows."""
    key, document = trial.key, trial.document
    files = sources.files(trial)
    return {
        "title": f"{key.task}, {key.stack}, epoch {key.epoch}: trial {document['id']}",
        "facts": _facts(trial),
        "fault": {name: printable(str(value)) for name, value in trial.fault.items()} if trial.fault else None,
        "attacks": [printable(attack) for attack in document["attacks"]],
        "scores": [_score(score, document["timings"]) for score in document["scores"]],
        "checks": sorted(map(_check, checks_of(trial)), key=lambda check: check["outcome"] == "passed"),
        "logs": [{"name": name, "text": _cut(text)} for name, text in sources.logs(trial).items()],
        "files": [
            {"path": printable(path), "size": len(data), "text": _cut(data.decode("utf-8", "replace"))}
            for path, data in sorted(files.items())
        ],
        "dropped": [printable(line) for line in (document["solution"] or {}).get("dropped", [])],
        "transcript": transcript(sources.events(trial)),
    }


def _cut(text: str) -> str:
    shown = printable(text)
    if len(shown) <= _MOST_CHARACTERS:
        return shown
    return f"{shown[:_MOST_CHARACTERS]}\n[... {len(shown) - _MOST_CHARACTERS} characters more ...]"


def _facts(trial: Trial) -> list[tuple[str, str]]:
    key, document = trial.key, trial.document
    solution = document["solution"] or {}
    tokens = ", ".join(f"{name} {count:,}" for name, count in (solution.get("tokens") or {}).items())
    seconds = ", ".join(f"{name} {value:.1f} s" for name, value in document["timings"].items())
    found = [
        ("agent", key.agent + (f":{key.variant}" if key.variant else "")),
        ("revision", key.revision[:12]),
        ("solver", " ".join(part for part in (key.solver, key.kind, key.model, key.settings) if part)),
        ("ended", solution.get("ended") or "-"),
        ("cost", "-" if trial.cost_usd is None else f"${trial.cost_usd:.4f}"),
        ("tokens", tokens or "-"),
        ("time", seconds),
        ("attempt", f"{document['attempt']}, finished {document['finished_at']}"),
    ]
    known = solution.get("provenance", {})
    shown = [(name, value) for name, value in known.items() if value not in (None, "", [], {})]
    found += [(name.replace("_", " "), printable(str(value))) for name, value in shown if name != "final_message"]
    if known.get("final_message"):
        found.append(("last message", printable(known["final_message"])))
    return found


def _score(score: Mapping[str, Any], timings: Mapping[str, float]) -> dict[str, str]:
    seconds = timings.get(score["name"])
    return {
        "name": score["name"],
        "value": f"{score['value']:.1%}",
        "reason": printable(score["reason"]),
        "seconds": "" if seconds is None else f"{seconds:.1f}",
    }


def _check(check: Mapping[str, Any]) -> dict[str, str]:
    shown = ("id", "dimension", "sentence", "outcome", "expected", "came")
    told = {name: printable(str(check[name])) for name in shown}
    return told | {name: printable(check.get(name) or "") for name in ("norm", "clause")}


def transcript(events: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Turn by turn: what was said, which tools were called, what they gave."""
    turns: list[dict[str, Any]] = []
    for event in events:
        if event["event"] == "begin":
            parts = [_part("system", event["system"]), _part("user", event["user"])]
            turns.append({"title": "what was asked", "open": False, "parts": parts})
        elif event["event"] == "assistant":
            cost = "" if event["cost_usd"] is None else f", ${event['cost_usd']:.4f}"
            title = f"turn {event['turn']}: {event['stop_reason']}, {event['tokens']['output']:,} tokens written{cost}"
            turns.append({"title": title, "open": False, "parts": [_block(block) for block in event["content"]]})
        elif event["event"] == "tool" and turns:
            name = f"{event['name']} {'fails' if event['is_error'] else 'gives'}"
            turns[-1]["parts"].append(_part(name, event["output"]))
        elif event["event"] == "retry" and turns:
            turns[-1]["parts"].append(_part("tried again", event["reason"]))
    return turns


def _block(block: Mapping[str, Any]) -> dict[str, str]:
    if block["type"] == "tool_use":
        return _part(f"calls {block['name']}", arguments(block["input"]))
    if block["type"] == "thinking":
        return _part("thinks", str(block.get("thinking", "")))
    return _part("says", str(block.get("text", "")))


def _part(title: str, text: str) -> dict[str, str]:
    return {"title": printable(title), "text": _cut(text)}
