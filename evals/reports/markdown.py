"""A comparison as Markdown: what a pull request's comment or a step summary shows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from evals.reports.comparison import (
    asked_by,
    changed_checks,
    clause_rows,
    confidence,
    headline,
    interval,
    notes,
    number,
)
from evals.reports.terminal import printable

MARKER = "<!-- evals comparison -->"
"""Begins every comment, so that the next one can take its place."""

LONGEST = 60_000
"""Characters; a comment on GitHub has at most 65,536, and notes and a link may follow."""

_SIGNS = {"improved": "🟢", "regressed": "🔴", "equivalent": "🔵", "inconclusive": "🟡"}
_MARKS = frozenset("\\`*_[]<>|#@~&")
_BAR = 10


def plain(text: str) -> str:
    """Text that Markdown and HTML leave as it is, on one line."""
    line = " ".join(printable(text).split())
    return "".join(f"&#{ord(char)};" if char in _MARKS else char for char in line)


def _bar(value: float | None, unit: str) -> str:
    if value is None or unit != "share":
        return ""
    full = round(value * _BAR)
    return "█" * full + "░" * (_BAR - full) + " "


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    """The lines of a table; cells are Markdown already."""
    names = list(head)
    lines = ["| " + " | ".join(names) + " |", "|" + " --- |" * len(names)]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]


def comment(documents: Sequence[Mapping[str, Any]]) -> str:
    """The comment for one or more comparisons; what does not fit is cut at the end of a section, and that is said."""
    sections = [MARKER, *("\n".join(_sections(document)) for document in documents)]
    text = "\n\n".join(sections)
    if len(text) <= LONGEST:
        return text + "\n"
    kept = text[:LONGEST].rpartition("\n")[0]
    return f"{kept}\n\nThe rest did not fit; `evals compare` prints all of it.\n"


def _sections(document: Mapping[str, Any]) -> Iterator[str]:
    yield f"### {_SIGNS[document['verdict']]} {plain(headline(document))}"
    yield ""
    yield from (f"- {plain(line)}" for line in notes(document))
    gate = document["gate"]
    yield f"- gate `{gate['fail_on']}`: **{'passed' if gate['passed'] else 'failed'}**"
    yield from _costs(document)
    yield ""
    metric = plain(document["question"]["metric"])
    yield from table((metric, "trials", "base", "head", confidence(document)), _tasks(document))
    yield from _checks(document)
    yield from _metrics(document)
    yield from _by_clause(document)


def _costs(document: Mapping[str, Any]) -> Iterator[str]:
    costs = [document[name]["cost_usd"] for name in ("base", "head")]
    if any(cost is not None for cost in costs):
        shown = " and ".join("not known" if cost is None else f"${cost:.2f}" for cost in costs)
        yield f"- cost of the trials (base and head): {shown}"


def _tasks(document: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    unit = document["unit"]
    for task in document["tasks"]:
        sides = [task["base"], task["head"]]
        counts = " + ".join(str(len(side["trials"])) for side in sides)
        means = [_bar(side["mean"], unit) + number(side["mean"], unit) for side in sides]
        yield (f"{plain(task['task'])} ({plain(task['stack'])})", counts, *means, interval(task["difference"], unit))


def _checks(document: Mapping[str, Any]) -> Iterator[str]:
    for title, rows, more in changed_checks(document):
        yield from ("", f"**{title.capitalize()}**", "")
        for row in rows:
            shares = f"{row['base']:.0%} → {row['head']:.0%}"
            yield f"- {shares} {plain(row['task'])}: {plain(asked_by(row))} ({plain(row['check'])})"
        if more:
            yield f"- and {more} more"


def _metrics(document: Mapping[str, Any]) -> Iterator[str]:
    yield ""
    yield "<details><summary>Other metrics</summary>"
    yield ""
    rows = (
        (
            plain(row["name"]),
            *(number(row[name], row["unit"]) for name in ("base", "head")),
            interval(row["difference"], row["unit"]),
            f"{row['p_holm']:.3g}",
        )
        for row in document["metrics"]
    )
    yield from table(("metric", "base", "head", confidence(document), "p (Holm)"), rows)
    yield ""
    yield "</details>"


def _by_clause(document: Mapping[str, Any]) -> Iterator[str]:
    rows = clause_rows(document)
    if rows:
        yield from ("", "<details><summary>Checks by the clause of the prompt that asks for them</summary>", "")
        cells = ((plain(clause), *rest) for clause, *rest in rows)
        yield from table(("clause", "checks", "base", "head"), cells)
        yield from ("", "</details>")
