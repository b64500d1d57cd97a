"""Metrics: one number of a scored trial, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from evals.errors import InputError
from evals.store import Trial

PRIMARY = "acceptance"
_DIMENSION = "dimension:"


@dataclass(frozen=True, kw_only=True)
class Metric:
    """What is compared. `bounded` values lie between 0 and 1; `value` is None where a trial does not know it."""

    name: str
    unit: str
    bounded: bool
    more_is_better: bool
    value: Callable[[Trial], float | None]


def _score(name: str) -> Metric:
    def value(trial: Trial) -> float | None:
        found = trial.scores.get(name)
        return None if found is None else float(found["value"])

    return Metric(name=name, unit="share", bounded=True, more_is_better=True, value=value)


def _dimension(name: str) -> Metric:
    def value(trial: Trial) -> float | None:
        row = trial.scores[PRIMARY]["details"]["dimensions"].get(name.removeprefix(_DIMENSION))
        return None if row is None else row["passed"] / row["total"]

    return Metric(name=name, unit="share", bounded=True, more_is_better=True, value=value)


def all_pass(trial: Trial) -> float:
    """1 where every acceptance check passed, else 0."""
    details = trial.scores[PRIMARY]["details"]
    return float(details["passed"] == details["total"])


def _tokens(trial: Trial) -> float | None:
    tokens = trial.document["solution"]["tokens"]
    return None if tokens is None else float(sum(tokens.values()))


def _cost(trial: Trial) -> float | None:
    cost = trial.document["solution"]["cost_usd"]
    return None if cost is None else float(cost)


def _provenance(name: str) -> Callable[[Trial], float | None]:
    def value(trial: Trial) -> float | None:
        found = trial.document["solution"]["provenance"].get(name)
        return float(found) if isinstance(found, (int, float)) else None

    return value


def _composite(trial: Trial) -> float | None:
    found = trial.document["composite"]
    return None if found is None else float(found)


def _spent(name: str, unit: str, value: Callable[[Trial], float | None]) -> Metric:
    return Metric(name=name, unit=unit, bounded=False, more_is_better=False, value=value)


_OTHERS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(name="all_pass", unit="share", bounded=True, more_is_better=True, value=all_pass),
        Metric(name="composite", unit="share", bounded=True, more_is_better=True, value=_composite),
        _spent("cost", "USD", _cost),
        _spent("tokens", "tokens", _tokens),
        _spent("turns", "turns", _provenance("turns")),
        _spent("time", "s", _provenance("wall_seconds")),
    )
}


def of_trials(trials: list[Trial]) -> dict[str, Metric]:
    """Every metric that the trials can give, the primary one first."""
    scored = [trial for trial in trials if trial.fault is None]
    scores = list(dict.fromkeys(name for trial in scored for name in trial.scores))
    dimensions = dict.fromkeys(
        name for trial in scored if PRIMARY in trial.scores for name in trial.scores[PRIMARY]["details"]["dimensions"]
    )
    found = {PRIMARY: _score(PRIMARY), **{name: _score(name) for name in scores}}
    found |= {_DIMENSION + name: _dimension(_DIMENSION + name) for name in dimensions}
    return found | dict(_OTHERS)


def named(name: str, offered: Mapping[str, Metric]) -> Metric:
    """The metric of a name; `InputError` lists what there is."""
    if name not in offered:
        raise InputError(f"--metric: found {name!r}; there are: {', '.join(offered)}")
    return offered[name]
