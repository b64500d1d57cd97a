"""From the values of two revisions to a verdict, and through a gate."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from evals import metrics
from evals.errors import InputError
from evals.metrics import Metric
from evals.pairing import Pair, Pairing
from evals.stats import stratified
from evals.stats import tasks as like_these
from evals.stats.stratified import Estimate, Stratum
from evals.store import Trial

Verdict = Literal["improved", "regressed", "equivalent", "inconclusive"]
Gate = Literal["regressed", "not-improved", "not-noninferior", "inconclusive"]

GATES: tuple[Gate, ...] = ("regressed", "not-improved", "not-noninferior", "inconclusive")


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked. `margin` is the difference that does not matter; `level` is alpha, where looks do not share it."""

    metric: str = metrics.PRIMARY
    margin: float = 0.05
    alpha: float = 0.05
    level: float | None = None
    generalize: bool = False


@dataclass(frozen=True, kw_only=True)
class Ruling:
    """A verdict with its reason, and what it rests on.

    `worst_low` and `worst_high` bound the interval whatever the trials that could not be measured would have given.
    """

    verdict: Verdict
    reason: str
    estimate: Estimate
    worst_low: float
    worst_high: float


def verdict_of(found: Estimate, margin: float, *, more_is_better: bool = True) -> Verdict:
    """What an interval says."""
    if -margin < found.low and found.high < margin:
        # A difference that is surely there and surely too small to matter is one that does not matter.
        return "equivalent"
    if found.low > 0:
        return "improved" if more_is_better else "regressed"
    if found.high < 0:
        return "regressed" if more_is_better else "improved"
    return "inconclusive"


def gate_passes(gate: Gate, ruling: Ruling, question: Question, *, more_is_better: bool = True) -> bool:
    """Whether a comparison passes a gate. `not-noninferior` holds what could not be measured against the head."""
    if gate == "regressed":
        return ruling.verdict != "regressed"
    if gate == "not-improved":
        return ruling.verdict == "improved"
    if gate == "inconclusive":
        return ruling.verdict in ("improved", "equivalent")
    return ruling.worst_low > -question.margin if more_is_better else ruling.worst_high < question.margin


def strata_of(pairs: Iterable[Pair], metric: Metric) -> list[Stratum]:
    """The values of a metric, task by task; tasks where one revision has none are left out."""
    found = []
    for pair in pairs:
        base, head = values_of(pair.base, metric), values_of(pair.head, metric)
        if base and head:
            found.append(Stratum(name=_name(pair), base=base, head=head))
    return found


def _name(pair: Pair) -> str:
    return f"{pair.task} on {pair.stack}"


def values_of(trials: Iterable[Trial], metric: Metric) -> tuple[float, ...]:
    """The values of a metric in the scored trials that know it."""
    values = (metric.value(trial) for trial in trials if trial.fault is None)
    return tuple(value for value in values if value is not None)


def _estimator(question: Question) -> Callable[..., Estimate]:
    return like_these.estimate if question.generalize else stratified.estimate


def rule(pairing: Pairing, metric: Metric, question: Question) -> Ruling | None:
    """The verdict, or None where no task has a value of both revisions. One that faults could overturn is none."""
    strata = strata_of(pairing.pairs, metric)
    if not strata:
        return None
    if question.generalize and len(strata) < like_these.FEWEST_TASKS:
        raise InputError(
            f"--generalize: found {len(strata)} tasks; a statement about tasks like these needs at least "
            f"{like_these.FEWEST_TASKS}: with fewer, even differences that all point one way come by chance too often"
        )
    level = question.level or question.alpha
    found = _estimator(question)(strata, alpha=level, bounded=metric.bounded)
    worst = [_estimator(question)(w, alpha=level, bounded=metric.bounded) for w in _worst_cases(pairing, metric)]
    verdicts = [verdict_of(e, question.margin, more_is_better=metric.more_is_better) for e in (found, *worst)]
    if verdicts[0] == "inconclusive":
        reason = _why_not(strata, found, question)
    elif len(set(verdicts)) > 1:
        reason = f"what could not be measured could overturn {verdicts[0]}: {_unmeasured(pairing)}"
    else:
        reason = _why(verdicts[0], question)
    return Ruling(
        verdict=verdicts[0] if len(set(verdicts)) == 1 else "inconclusive",
        reason=reason,
        estimate=found,
        worst_low=min(e.low for e in (found, *worst)),
        worst_high=max(e.high for e in (found, *worst)),
    )


def _why(verdict: Verdict, question: Question) -> str:
    share = f"{1 - (question.level or question.alpha):.4g}"
    if verdict == "equivalent":
        return f"the whole interval (confidence {share}) lies within the margin of {question.margin:g}"
    return f"the whole interval (confidence {share}) lies on one side of zero"


def _why_not(strata: Sequence[Stratum], found: Estimate, question: Question) -> str:
    if found.p > 0 and 2 / found.arrangements > found.alpha:
        count = max(len(stratum.base) for stratum in strata)
        return f"too few trials: no result of {count} a task and revision could be told from chance"
    reaches = "reaches from one side of zero to the other"
    return f"the interval {reaches}, and beyond the margin of {question.margin:g}"


def _unmeasured(pairing: Pairing) -> str:
    faults = faults_of(pairing.trials)
    parts = [f"{faults} faults"] if faults else []
    parts += [f"{place[0]} on {place[1]} only in {label}" for place, label in pairing.missing]
    return ", ".join(parts)


def _worst_cases(pairing: Pairing, metric: Metric) -> list[list[Stratum]]:
    """The strata with all that is not known set against the head, and for it; none where all is known."""
    faults = faults_of(pairing.trials) > 0
    if not (faults or pairing.missing):
        return []
    seen = values_of(pairing.trials, metric)
    low, high = (0.0, 1.0) if metric.bounded else (min(seen), max(seen))
    return [
        _filled(pairing, metric, for_base=high, for_head=low),
        _filled(pairing, metric, for_base=low, for_head=high),
    ]


def _filled(pairing: Pairing, metric: Metric, *, for_base: float, for_head: float) -> list[Stratum]:
    strata = []
    for pair in pairing.pairs:
        base = values_of(pair.base, metric) + (for_base,) * faults_of(pair.base)
        head = values_of(pair.head, metric) + (for_head,) * faults_of(pair.head)
        if base and head:
            strata.append(Stratum(name=_name(pair), base=base, head=head))
    count = max((len(s.base) for s in strata), default=1)
    for place, _ in pairing.missing:
        strata.append(Stratum(name=" on ".join(place), base=(for_base,) * count, head=(for_head,) * count))
    return strata


def faults_of(trials: Iterable[Trial]) -> int:
    """How many trials could not be measured."""
    return sum(1 for trial in trials if trial.fault is not None)
