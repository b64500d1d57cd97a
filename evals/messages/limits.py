"""What a trial may use before it is ended. Each acts on the outcome, and so is part of what a trial is of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from evals.messages.ledger import Meter
from evals.types import SolverOptions

ANSWER_TOKENS = 64_000
"""The longest single answer that is asked for; every current model can give it."""

_LEAST_ANSWER = 1024


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Turns, output tokens, US dollars and seconds of one trial."""

    turns: int = 150
    output_tokens: int = 250_000
    cost: float = 5.0
    seconds: float | None = None

    def as_options(self) -> dict[str, Any]:
        """For a document; without what is the task's own."""
        return {
            "max_turns": self.turns,
            "max_output_tokens": self.output_tokens,
            "max_trial_cost": self.cost,
            "max_seconds": self.seconds,
        }

    def answer_tokens(self, meter: Meter, prompt: int) -> int:
        """How long the next answer may be, after a prompt of about so many tokens; 0 where a limit is reached."""
        room = min(ANSWER_TOKENS, self.output_tokens - meter.tokens.output)
        if meter.prices is not None:
            room = min(room, meter.prices.affordable_output(self.cost - (meter.cost or 0.0), prompt))
        return room if room >= _LEAST_ANSWER else 0

    def reached(self, meter: Meter) -> str:
        """Which limit leaves no room for another answer."""
        return "limit: output tokens" if self.output_tokens - meter.tokens.output < _LEAST_ANSWER else "limit: cost"


def limits_of(options: SolverOptions, max_turns: int | None) -> Limits:
    """As the user asks; an agent's own `maxTurns` can only be lower."""
    turns = min(n for n in (options.max_turns or Limits.turns, max_turns) if n is not None)
    return Limits(
        turns=turns,
        output_tokens=options.max_output_tokens or Limits.output_tokens,
        cost=Limits.cost if options.max_trial_cost is None else options.max_trial_cost,
        seconds=None if options.max_minutes is None else options.max_minutes * 60,
    )
