"""What solvers that call a model write down: events for the transcript, and where a delivery comes from."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from evals.catalog import tasks
from evals.messages.client import Answer
from evals.messages.ledger import Meter
from evals.types import Assignment, Settings


def begin(assignment: Assignment, settings: Settings, definitions: Sequence[dict[str, Any]], user: str) -> None:
    """Keep what the model is given."""
    revision = assignment.revision
    assignment.log(
        "begin",
        {
            "agent": revision.agent,
            "variant": revision.variant,
            "revision": revision.digest,
            "task": assignment.task.id,
            "stack": assignment.stack.name,
            "epoch": assignment.epoch,
            "solver": settings.solver,
            "model": settings.model,
            "options": dict(settings.options),
            "tools": list(definitions),
            "system": revision.body,
            "user": user,
        },
    )


def assistant(assignment: Assignment, turn: int, answer: Answer, seconds: float) -> None:
    """Keep an answer."""
    message = answer.message
    assignment.log(
        "assistant",
        {
            "turn": turn,
            "id": message.get("id"),
            "model": message.get("model"),
            "content": message["content"],
            "stop_reason": message.get("stop_reason"),
            "tokens": answer.tokens.as_dict(),
            "cost_usd": answer.cost,
            "attempts": answer.attempts,
            "seconds": round(seconds, 3),
        },
    )


def retry(assignment: Assignment, turn: int, reason: str, pause: float) -> None:
    """Keep a failure."""
    assignment.log("retry", {"turn": turn, "reason": reason, "pause": round(pause, 1)})


def end(assignment: Assignment, ended: str, meter: Meter) -> None:
    """Keep how it ended, and what it used in all."""
    assignment.log("end", {"ended": ended, "cost_usd": meter.cost, "tokens": meter.tokens.as_dict()})


def text_of(message: dict[str, Any]) -> str:
    """What a message says."""
    return "".join(block["text"] for block in message["content"] if block["type"] == "text")


def provenance(assignment: Assignment, settings: Settings, meter: Meter, *, replayed: bool) -> dict[str, Any]:
    """What is kept with a trial of how its delivery was made."""
    asked = tasks.asked(assignment.task, assignment.stack)
    return {
        "model": settings.model,
        "options": dict(settings.options),
        "sdk": f"anthropic {version('anthropic')}",
        "prices": meter.prices.snapshot if meter.prices else None,
        "calls": meter.calls,
        "retries": meter.retries,
        "tokens_lost": meter.lost.as_dict(),
        "cache_hit_share": round(meter.tokens.cache_hit_share, 4),
        "system_prompt_sha256": hashlib.sha256(assignment.revision.body.encode()).hexdigest(),
        "instruction_sha256": hashlib.sha256(asked.encode()).hexdigest(),
        "replayed": replayed,
    }
