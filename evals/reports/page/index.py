"""The first page of a report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from evals.reports import comparison, picture, summary
from evals.reports.dossier import Dossier, Side, total_cost
from evals.reports.page import diffs
from evals.reports.terminal import printable
from evals.store import Trial

_SIGNS = {"improved": "▲", "regressed": "▼", "equivalent": "■", "inconclusive": "●"}

Document = Mapping[str, Any]


def values(
    dossier: Dossier,
    document: Document,
    *,
    prompt: Callable[[Trial], str | None],
    card: Callable[[str], str | None],
) -> dict[str, Any]:
    """What it shows, but for links to other pages."""
    names = summary.names(dossier.trials)
    return {
        "title": printable(dossier.title),
        "comparisons": [_comparison(found) for found in dossier.comparisons],
        "sides": [_side(side, names) for side in dossier.sides],
        "head": (
            "task",
            "trials",
            "faults",
            *(name.replace("_", " ") for name in names),
            "composite",
        ),
        "faults": [_fault(trial) for trial in dossier.faults],
        "tasks": [_task(task, document["sides"], card) for task in document["tasks"]],
        "prompts": _prompts(dossier.sides, prompt),
        "trials": [{"id": trial.document["id"], "name": _name(trial)} for trial in dossier.trials],
        "count": len(dossier.trials),
    }


def matrix(document: Document) -> dict[str, Any]:
    """What the page's script needs, and no more of it: there may be thousands of trials."""
    kept = ("id", "role", "epoch", "marks")
    return {
        "sides": [{"role": side["role"]} for side in document["sides"]],
        "tasks": [
            {
                "checks": [{"id": check["id"], "dimension": check["dimension"]} for check in task["checks"]],
                "trials": [{name: trial[name] for name in kept} for trial in task["trials"]],
            }
            for task in document["tasks"]
        ],
    }


def _name(trial: Trial) -> str:
    spelled = trial.key.agent + (f":{trial.key.variant}" if trial.key.variant else "")
    return f"{spelled}, {trial.key.task}, epoch {trial.key.epoch} ({trial.document['id']})"


def _fault(trial: Trial) -> dict[str, str]:
    assert trial.fault is not None
    reason = printable(f"{trial.fault['stage']}: {trial.fault['reason'][:500]}")
    return {"id": trial.document["id"], "name": _name(trial), "reason": reason}


def _comparison(found: Document) -> dict[str, Any]:
    unit = found["unit"]
    return {
        "verdict": found["verdict"],
        "sign": _SIGNS[found["verdict"]],
        "headline": printable(comparison.headline(found)),
        "notes": [printable(note) for note in comparison.notes(found)],
        "gate": found["gate"],
        "metric": found["question"]["metric"],
        "confidence": comparison.confidence(found),
        "picture": picture.embedded(found) if unit == "share" else None,
        "tasks": [_compared_task(task, unit) for task in found["tasks"]],
        "metrics": [_metric(row) for row in found["metrics"]],
        "clauses": [tuple(map(printable, row)) for row in comparison.clause_rows(found)],
    }


def _compared_task(task: Document, unit: str) -> tuple[str, ...]:
    sides = [task["base"], task["head"]]
    counts = " + ".join(str(len(side["trials"])) for side in sides)
    means = [comparison.number(side["mean"], unit) for side in sides]
    return (f"{task['task']} ({task['stack']})", counts, *means, comparison.interval(task["difference"], unit))


def _metric(row: Document) -> tuple[str, ...]:
    means = [comparison.number(row[name], row["unit"]) for name in ("base", "head")]
    return (row["name"], *means, comparison.interval(row["difference"], row["unit"]), f"{row['p_holm']:.3g}")


def _side(side: Side, scores: Sequence[str]) -> dict[str, Any]:
    cost = total_cost(side.trials)
    tokens = sum(sum(_counts(trial)) for trial in side.trials)
    seconds = sum(sum(trial.document["timings"].values()) for trial in side.trials)
    facts = [f"{len(side.trials)} trials"]
    facts += [f"revision {side.trials[0].key.revision[:12]}"] if side.trials else []
    facts += ["cost not known" if cost is None else f"cost ${cost:.2f}"]
    facts += [f"{tokens:,} tokens"] if tokens else []
    facts += [f"{seconds / 60:.0f} min of work"]
    return {
        "role": side.role,
        "label": printable(side.label),
        "facts": ", ".join(facts),
        "rows": [_row(row, scores) for row in summary.rows(side.trials)],
    }


def _counts(trial: Trial) -> list[int]:
    return list(((trial.document["solution"] or {}).get("tokens") or {}).values())


def _row(row: summary.Row, scores: Sequence[str]) -> tuple[str, ...]:
    values = (*(row.scores.get(name) for name in scores), row.composite)
    shares = ["-" if value is None else f"{value:.1%}" for value in values]
    return (f"{row.task} ({row.stack})", str(row.trials), str(row.faults), *shares)


def _task(task: Document, sides: Sequence[Document], card: Callable[[str], str | None]) -> dict[str, Any]:
    by_role = [[trial["marks"] for trial in task["trials"] if trial["role"] == side["role"]] for side in sides]
    return {
        "task": task["task"],
        "stack": task["stack"],
        "card": card(task["task"]) or "",
        "checks": [_check(check, place, by_role) for place, check in enumerate(task["checks"])],
    }


def _check(check: Document, place: int, by_role: Sequence[Sequence[str]]) -> dict[str, Any]:
    marks = [[found[place] for found in side if found and found[place] != "-"] for side in by_role]
    shares = [side.count("p") / len(side) if side else None for side in marks]
    known = shares[0] is not None and shares[-1] is not None and len(shares) > 1
    change = (shares[-1] or 0.0) - (shares[0] or 0.0) if known else 0.0
    return {
        "id": check["id"],
        "dimension": check["dimension"],
        "sentence": printable(comparison.asked_by(check)),
        "shares": [
            {"value": -1 if share is None else share, "shown": "-" if share is None else f"{share:.0%}"}
            for share in shares
        ],
        "change": change,
        "changed": abs(change) > 1e-9,
        "failing": any(mark != "p" for side in marks for mark in side),
        "direction": "better" if change > 1e-9 else "worse" if change < -1e-9 else "",
        "shown": f"{change * 100:+.0f}" if abs(change) > 1e-9 else "",
    }


def _prompts(sides: Sequence[Side], prompt: Callable[[Trial], str | None]) -> list[dict[str, Any]]:
    texts = [(side.label, prompt(side.trials[0])) for side in sides if side.trials]
    if len(texts) < 2:
        return []
    found: list[dict[str, Any]] = []
    for label, text in texts[1:]:
        name = printable(f"{texts[0][0]} → {label}")
        if texts[0][1] is None or text is None:
            found.append({"name": name, "lines": [], "note": "The prompts are not at hand in this state."})
        else:
            lines = diffs.lines(texts[0][1], text)
            found.append({"name": name, "lines": lines, "note": "The same text."})
    return found
