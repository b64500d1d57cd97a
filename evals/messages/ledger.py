"""Money: what a run has spent, and what a trial may still spend."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from evals.errors import Fault, NotStarted
from evals.messages.pricing import Prices, Tokens


@dataclass(kw_only=True)
class Ledger:
    """The budget of a run in US dollars; None: no bound.

    A trial is begun only where the most that it may spend still fits beside what has been spent and what those under
    way may spend.
    """

    limit: float | None
    spent: float = 0.0
    reserved: float = 0.0

    @contextmanager
    def room_for(self, most: float, meter: Meter) -> Iterator[None]:
        """Keep room for a trial while it runs; what it has really spent is booked, however it ends."""
        if self.limit is not None and self.spent + self.reserved + most > self.limit + 1e-9:
            raise NotStarted(
                f"a trial may cost ${most:.2f}, and of ${self.limit:.2f} (--max-cost) ${self.spent:.2f} are spent"
                + (f", ${self.reserved:.2f} kept for trials under way" if self.reserved else "")
            )
        self.reserved += most
        try:
            yield
        except Fault as fault:
            fault.cost_usd = meter.cost
            raise
        finally:
            self.reserved -= most
            self.spent += meter.cost or 0.0


@dataclass(kw_only=True)
class Meter:
    """What a trial has used so far; `lost` is what calls that broke off had used by then, and is part of it."""

    prices: Prices | None
    batch: bool = False
    tokens: Tokens = field(default_factory=Tokens)
    lost: Tokens = field(default_factory=Tokens)
    cost: float | None = 0.0
    calls: int = 0
    retries: int = 0

    def add(self, tokens: Tokens, *, lost: bool = False) -> float | None:
        """Book a call; what it cost."""
        self.tokens += tokens
        self.calls += 1
        if lost:
            self.lost += tokens
        if self.prices is None:
            self.cost = None
            return None
        cost = self.prices.cost(tokens, batch=self.batch)
        self.cost = (self.cost or 0.0) + cost
        return cost
