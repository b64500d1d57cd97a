"""Two revisions' trials in, a comparison out. Pure: it reads no file and runs nothing."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import fmean
from typing import Any

from evals import headroom, metrics
from evals.metrics import Metric
from evals.pairing import Pair, Pairing, Side
from evals.rulings import Gate, Question, faults_of, gate_passes, rule, strata_of, values_of
from evals.stats import many, power, proportions, stratified
from evals.stats.stratified import Estimate, Stratum
from evals.store import Trial

_CHANGED_CHECKS = 40


@dataclass(frozen=True)
class _Check:
    """A check that both sides of a pair have: what it is about, and its share of passes on each."""

    task: str
    name: str
    about: dict[str, Any]
    base: float
    head: float


def compare(base: Side, head: Side, pairing: Pairing, question: Question, gate: Gate = "regressed") -> dict[str, Any]:
    """The comparison (`comparison.schema.json`); `InputError` where the question cannot be asked of these trials."""
    offered = metrics.of_trials(pairing.trials)
    metric = metrics.named(question.metric, offered)
    ruling = rule(pairing, metric, question)
    passed = ruling is not None and gate_passes(gate, ruling, question, more_is_better=metric.more_is_better)
    epochs = _mean_epochs(strata_of(pairing.pairs, metric))
    checks = [check for pair in pairing.pairs for check in _checks_of_both(pair)]
    return {
        "schema_version": 1,
        "evals_version": pairing.evals_version,
        "base": _side_document(base, [p.base for p in pairing.pairs]),
        "head": _side_document(head, [p.head for p in pairing.pairs]),
        "settings": dict(zip(("solver", "kind", "model", "settings"), pairing.settings, strict=True)),
        "question": {**asdict(question), "level": question.level or question.alpha},
        "more_is_better": metric.more_is_better,
        "unit": metric.unit,
        "verdict": ruling.verdict if ruling else "inconclusive",
        "reason": ruling.reason if ruling else "no task has a scored trial of both revisions",
        "difference": _estimate_document(ruling.estimate) if ruling else None,
        "worst_case": [ruling.worst_low, ruling.worst_high] if ruling else None,
        "detectable": _finite(power.detectable(ruling.estimate)) if ruling else None,
        "epochs": epochs,
        "epochs_to_settle": power.epochs_to_settle(ruling.estimate, epochs, question.margin) if ruling else None,
        "tasks": [_task_document(pair, metric, question) for pair in pairing.pairs],
        "missing": [{"task": place[0], "stack": place[1], "only_in": label} for place, label in pairing.missing],
        "metrics": _other_metrics(pairing.pairs, offered, metric, question),
        "saturated": [p.task for p in pairing.pairs if metric.bounded and _is_saturated(p, metric)],
        "checks": _changed_checks(checks),
        "clauses": _clauses(checks),
        "gate": {"fail_on": gate, "passed": passed},
    }


def compare_each(
    base: Side, heads: Sequence[tuple[Side, Pairing]], question: Question, gate: Gate = "regressed"
) -> list[dict[str, Any]]:
    """A comparison of each head with the base; together they have alpha, shared after Holm."""
    rulings = [rule(p, metrics.named(question.metric, metrics.of_trials(p.trials)), question) for _, p in heads]
    p_values = [1.0 if ruling is None else ruling.estimate.p for ruling in rulings]
    levels = [many.holm_level(p_values, n, question.alpha) for n in range(len(heads))]
    return [
        compare(base, head, pairing, replace(question, level=level), gate)
        for (head, pairing), level in zip(heads, levels, strict=True)
    ]


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _is_saturated(pair: Pair, metric: Metric) -> bool:
    return headroom.is_saturated(values_of((*pair.base, *pair.head), metric))


def _mean_epochs(strata: Sequence[Stratum]) -> float:
    counts = [(len(s.base) + len(s.head)) / 2 for s in strata]
    return sum(counts) / len(counts) if counts else 0.0


def _side_document(side: Side, tasks: list[tuple[Trial, ...]]) -> dict[str, Any]:
    used = [trial for trials in tasks for trial in trials]
    scored = [trial for trial in used if trial.fault is None]
    return {
        "label": side.label,
        "agent": side.agent,
        "revision": side.revision,
        "trials": len(used),
        "faults": len(used) - len(scored),
        "all_pass": _all_pass([[t for t in trials if t.fault is None] for trials in tasks]),
        "cost_usd": _known_sum(trial.cost_usd for trial in used),
    }


def _all_pass(tasks: list[list[Trial]]) -> dict[str, Any]:
    """Trials with every check passed; pass@k and pass^k are means over tasks."""
    counts = [(sum(int(metrics.all_pass(trial)) for trial in trials), len(trials)) for trials in tasks if trials]
    passed, total = sum(c for c, _ in counts), sum(n for _, n in counts)
    k = min((n for _, n in counts), default=0)
    return {
        "passed": passed,
        "total": total,
        "interval": list(proportions.wilson(passed, total)),
        "k": k,
        "pass_at_k": _mean([proportions.pass_at_k(c, n, k) for c, n in counts]),
        "pass_hat_k": _mean([proportions.pass_hat_k(c, n, k) for c, n in counts]),
    }


def _mean(values: Sequence[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None


def _known_sum(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _estimate_document(found: Estimate) -> dict[str, Any]:
    return {name: _finite(float(value)) for name, value in asdict(found).items()}


def _task_document(pair: Pair, metric: Metric, question: Question) -> dict[str, Any]:
    strata = strata_of([pair], metric)
    found = stratified.estimate(strata, alpha=question.alpha, bounded=metric.bounded) if strata else None
    sides = {"base": pair.base, "head": pair.head}
    return {
        "task": pair.task,
        "stack": pair.stack,
        **{name: _cell_document(trials, metric) for name, trials in sides.items()},
        "difference": _estimate_document(found) if found else None,
    }


def _cell_document(trials: tuple[Trial, ...], metric: Metric) -> dict[str, Any]:
    values = values_of(trials, metric)
    return {
        "trials": [trial.document["id"] for trial in trials],
        "faults": faults_of(trials),
        "mean": math.fsum(values) / len(values) if values else None,
        "values": list(values),
    }


def _other_metrics(
    pairs: Sequence[Pair], offered: Mapping[str, Metric], primary: Metric, question: Question
) -> list[dict[str, Any]]:
    """Every other metric: its difference, and its p-value adjusted for their number after Holm."""
    rows = []
    for metric in offered.values():
        strata = strata_of(pairs, metric)
        if metric.name != primary.name and strata:
            found = stratified.estimate(strata, alpha=question.alpha, bounded=metric.bounded)
            rows.append((metric, strata, found))
    adjusted = many.holm([found.p for _, _, found in rows])
    return [
        {
            "name": metric.name,
            "unit": metric.unit,
            "more_is_better": metric.more_is_better,
            "base": _mean_of([s.base for s in strata]),
            "head": _mean_of([s.head for s in strata]),
            "difference": _estimate_document(found),
            "p_holm": p,
        }
        for (metric, strata, found), p in zip(rows, adjusted, strict=True)
    ]


def _mean_of(cells: Sequence[tuple[float, ...]]) -> float:
    """The mean over tasks of their means."""
    return math.fsum(math.fsum(cell) / len(cell) for cell in cells) / len(cells)


def _checks_of_both(pair: Pair) -> Iterator[_Check]:
    base, head = _check_shares(pair.base), _check_shares(pair.head)
    for name in [name for name in base if name in head]:
        yield _Check(pair.task, name, base[name][0], base[name][1], head[name][1])


def _changed_checks(checks: Iterable[_Check]) -> list[dict[str, Any]]:
    """Checks whose share of passes differs, the largest change first."""
    rows: list[dict[str, Any]] = [
        {"task": check.task, "check": check.name, **check.about, "base": check.base, "head": check.head}
        for check in checks
        if check.base != check.head
    ]
    rows.sort(key=lambda row: (-abs(row["head"] - row["base"]), row["task"], row["check"]))
    return rows[:_CHANGED_CHECKS]


def _clauses(checks: Iterable[_Check]) -> list[dict[str, Any]]:
    """For each clause of the shipped prompt that some check is about: how many are, and the mean share of passes."""
    found: dict[str, list[tuple[float, float]]] = {}
    for check in checks:
        if clause := check.about["clause"]:
            found.setdefault(clause, []).append((check.base, check.head))
    rows = [
        {
            "clause": clause,
            "checks": len(shares),
            **dict(zip(("base", "head"), map(fmean, zip(*shares, strict=True)), strict=True)),
        }
        for clause, shares in found.items()
    ]
    return sorted(rows, key=lambda row: (-abs(row["head"] - row["base"]), row["clause"]))


def _check_shares(trials: Iterable[Trial]) -> dict[str, tuple[dict[str, Any], float]]:
    """What each check is about, and its share of passes."""
    counts: dict[str, list[int]] = {}
    about: dict[str, dict[str, Any]] = {}
    for trial in trials:
        if trial.fault is None:
            for check in trial.scores[metrics.PRIMARY]["details"]["checks"]:
                counts.setdefault(check["id"], []).append(check["outcome"] == "passed")
                about[check["id"]] = {name: check.get(name) for name in ("sentence", "norm", "clause")}
    return {name: (about[name], sum(passed) / len(passed)) for name, passed in counts.items()}
