"""A comparison on the terminal: the verdict first, then what it rests on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from evals.reports.terminal import printable

if TYPE_CHECKING:
    from rich.console import Console

Document = Mapping[str, Any]

_COLORS = {"improved": "green", "regressed": "red", "equivalent": "cyan", "inconclusive": "yellow"}
_SHOWN_CHECKS = 5


def number(value: float | None, unit: str, *, signed: bool = False) -> str:
    """A value in its unit; shares as percentages, their differences as points."""
    if value is None:
        return "-"
    sign = "+" if signed else ""
    if unit == "share":
        return f"{value * 100:{sign}.1f}" if signed else f"{value * 100:.1f}%"
    if unit == "USD":
        return f"{'-' if value < 0 else sign}${abs(value):.2f}"
    return f"{value:{sign},.0f}"


def interval(found: Mapping[str, Any] | None, unit: str) -> str:
    """A difference with its interval."""
    if found is None:
        return "-"
    ends = " to ".join(number(found[name], unit, signed=True) for name in ("low", "high"))
    return f"{number(found['difference'], unit, signed=True)} ({ends})"


def confidence(document: Document) -> str:
    """What the intervals of tasks and other metrics are called."""
    return f"difference ({1 - document['question']['alpha']:.4g} interval)"


def headline(document: Document) -> str:
    """The verdict in one line."""
    metric, unit = document["question"]["metric"], document["unit"]
    pair = f"{document['base']['label']} -> {document['head']['label']}"
    points = " points" if unit == "share" else ""
    if document["difference"] is None:
        return f"{document['verdict']}: {pair}: {document['reason']}"
    shown = interval(document["difference"], unit)
    return f"{document['verdict']}: {pair}: {metric} {shown}{points}, {1 - document['question']['level']:.4g} interval"


def notes(document: Document) -> Iterator[str]:
    """What a reader has to know beside the verdict."""
    yield document["reason"]
    question, unit = document["question"], document["unit"]
    if unit == "share" and (document["detectable"] or 0) > 1:
        yield f"{document['epochs']:g} epochs are too few to detect any difference with 80% power"
    elif document["verdict"] == "inconclusive" and document["detectable"] is not None:
        points = " points" if unit == "share" else ""
        yield (
            f"smallest difference that {document['epochs']:g} epochs detect with 80% power: "
            f"{number(document['detectable'], unit).removesuffix('%')}{points}"
        )
        more = document["epochs_to_settle"]
        if more is not None:
            yield f"if the estimate is the truth, about {more} epochs of each task and revision would settle it"
    faults = document["base"]["faults"] + document["head"]["faults"]
    if faults:
        yield f"{faults} faults: could not be measured, and count for neither"
    if document["saturated"]:
        tasks = ", ".join(document["saturated"])
        yield f"saturated: nearly every trial of {tasks} is at the ceiling, where no difference can show"
    for missing in document["missing"]:
        yield f"only {missing['only_in']} has trials of {missing['task']} on {missing['stack']}"
    if question["generalize"]:
        yield "about tasks like these (tasks are the sample)"


def print_comparison(out: Console, document: Document) -> None:
    """The whole of it."""
    out.print(f"[bold {_COLORS[document['verdict']]}]{printable(headline(document))}[/]", soft_wrap=True)
    for line in notes(document):
        out.print(f"  {printable(line)}", markup=False, soft_wrap=True)
    _print_tasks(out, document)
    _print_metrics(out, document)
    _print_checks(out, document)
    gate = document["gate"]
    out.print(f"gate --fail-on {gate['fail_on']}: {'passed' if gate['passed'] else 'failed'}", markup=False)


def _print_tasks(out: Console, document: Document) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    unit = document["unit"]
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in (document["question"]["metric"], "trials", "base", "head", confidence(document)):
        table.add_column(name, justify="left" if name == document["question"]["metric"] else "right")
    for task in document["tasks"]:
        counts = " + ".join(str(len(task[name]["trials"])) for name in ("base", "head"))
        means = [number(task[name]["mean"], unit) for name in ("base", "head")]
        table.add_row(f"{task['task']} ({task['stack']})", counts, *means, interval(task["difference"], unit))
    out.print(table)


def _print_metrics(out: Console, document: Document) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in ("other metrics", "base", "head", confidence(document), "p (Holm)"):
        table.add_column(name, justify="left" if name == "other metrics" else "right")
    for row in document["metrics"]:
        means = [number(row[name], row["unit"]) for name in ("base", "head")]
        style = "bold" if row["p_holm"] <= document["question"]["alpha"] else ""
        cells = [row["name"], *means, interval(row["difference"], row["unit"]), f"{row['p_holm']:.3g}"]
        table.add_row(*cells, style=style)
    for name in ("base", "head"):
        found = document[name]["all_pass"]
        if found["k"]:
            low, high = found["interval"]
            out.print(
                f"{document[name]['label']}: every check passed in {found['passed']} of {found['total']} trials "
                f"({low:.0%} to {high:.0%}), pass@{found['k']} {found['pass_at_k']:.0%}, "
                f"pass^{found['k']} {found['pass_hat_k']:.0%}",
                markup=False,
                soft_wrap=True,
            )
    out.print(table)


def asked_by(row: Document) -> str:
    """What a check is about: its sentence, and for an expectation what asks for it."""
    clause = f'the prompt\'s "{row["clause"]}"' if row.get("clause") else None
    found = [text for text in (row.get("norm"), clause) if text]
    return f"{row['sentence']} ({'; '.join(found)})" if found else str(row["sentence"])


def clause_rows(document: Document) -> list[tuple[str, ...]]:
    """For each clause that checks are about: its words, how many checks, and shares of passes as text."""
    return [
        (row["clause"], str(row["checks"]), f"{row['base']:.0%}", f"{row['head']:.0%}")
        for row in document.get("clauses", [])
    ]


def changed_checks(document: Document) -> Iterator[tuple[str, list[Document], int]]:
    """What got worse and what better: a title, the checks that changed most, and how many more there are."""
    for title, sign in (("worse", -1), ("better", 1)):
        rows = [row for row in document["checks"] if (row["head"] - row["base"]) * sign > 0]
        if rows:
            yield title, rows[:_SHOWN_CHECKS], max(0, len(rows) - _SHOWN_CHECKS)


def _print_checks(out: Console, document: Document) -> None:
    for title, rows, more in changed_checks(document):
        for row in rows:
            shares = f"{row['base']:.0%} -> {row['head']:.0%}"
            asked = printable(asked_by(row))
            out.print(f"{title}: {shares}  {row['task']}  {row['check']}: {asked}", markup=False, soft_wrap=True)
        if more:
            out.print(f"{title}: and {more} more checks", markup=False)
