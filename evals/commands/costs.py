"""What a run is expected to cost: from stored trials, else from assumptions that are stated."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from evals.messages import models, pricing
from evals.messages.limits import Limits
from evals.messages.pricing import Tokens
from evals.runner import Plan
from evals.store import Key, Store, Trial

ASSUMED = {
    "agent": Tokens(input=4_000, output=60_000, cache_read=2_000_000, cache_write_5m=80_000, cache_write_1h=4_000),
    "single-shot": Tokens(input=4_000, output=30_000),
}
"""What a trial is taken to use where nothing is known: forty answers of an agent, or one long one."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """US dollars; `basis` says where they come from, `most` what limits allow. None: not known."""

    usd: float | None
    basis: str
    most: float | None


def known_cost(trials: Iterable[Trial]) -> tuple[float, int] | None:
    """Mean cost of those trials that have one, and their number."""
    found = [trial.cost_usd for trial in trials if trial.cost_usd is not None]
    return (statistics.fmean(found), len(found)) if found else None


def assumed_cost(kind: str, model: str | None, *, batch: bool = False) -> tuple[float | None, str]:
    """What a trial is assumed to cost, and on what assumption."""
    name = model or models.DEFAULT
    prices, tokens = pricing.prices_of(name), ASSUMED.get(kind)
    if prices is None or tokens is None:
        return None, f"not known: there is no price of {name}"
    words = f"{tokens.prompt:,} tokens read, {tokens.cache_read:,} of them from the cache, {tokens.output:,} written"
    return prices.cost(tokens, batch=batch), f"assumed for {name}: {words} a trial"


def expected(plan: Plan, store: Store, most: float | None, *, batch: bool = False) -> Cost:
    """What a plan's trials will cost that are still to be solved."""
    keys = [item.planned.key for item in plan.todo if item.state == "solve"]
    if not keys:
        return Cost(usd=0.0, basis="nothing is to be solved", most=0.0)
    stored = [trial for trial in store.all_trials() if trial.fault is None]
    each = {key: _each(key, stored, batch=batch) for key in dict.fromkeys(keys)}
    limit = Limits.cost if most is None else most
    unknown = [basis for cost, basis in each.values() if cost is None]
    if unknown:
        return Cost(usd=None, basis=unknown[0], most=limit * len(keys))
    total = sum(cost or 0.0 for cost, _ in each.values())
    basis = "; ".join(dict.fromkeys(basis for _, basis in each.values()))
    return Cost(usd=total, basis=basis, most=limit * len(keys))


def _each(key: Key, stored: Sequence[Trial], *, batch: bool) -> tuple[float | None, str]:
    alike = [trial for trial in stored if _alike(trial.key, key)]
    found = known_cost([trial for trial in alike if trial.key.task == key.task]) or known_cost(alike)
    if found is not None:
        return found[0], f"mean of {found[1]} stored trials"
    return assumed_cost(key.kind, key.model, batch=batch)


def _alike(stored: Key, wanted: Key) -> bool:
    return (stored.solver, stored.kind, stored.model) == (wanted.solver, wanted.kind, wanted.model)
