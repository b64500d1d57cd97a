"""A report as Markdown: a step summary. Of a comparison, the pull request's comment; of a run, its tables."""

from __future__ import annotations

from collections.abc import Iterator

from evals.reports import markdown, summary
from evals.reports.dossier import Dossier
from evals.reports.markdown import plain, table

LONGEST = 1_000_000
"""Bytes; a step summary on GitHub has at most 1 MiB."""

_SHOWN = 20


def text(dossier: Dossier) -> str:
    """The whole, cut at a line where it would be too long."""
    if dossier.comparisons:
        return markdown.comment(list(dossier.comparisons))
    lines = "\n".join(_run(dossier)) + "\n"
    data = lines.encode("utf-8", "replace")
    if len(data) <= LONGEST:
        return lines
    return data[:LONGEST].decode("utf-8", "ignore").rpartition("\n")[0] + "\n\nThe rest did not fit.\n"


def _run(dossier: Dossier) -> Iterator[str]:
    yield f"### {plain(dossier.title)}"
    yield ""
    rows = summary.rows(dossier.trials)
    head = (
        "task",
        "trials",
        "faults",
        *(name.replace("_", " ") for name in summary.names(dossier.trials)),
        "composite",
        "cost",
    )
    yield from table(head, map(_row, rows))
    failed = [(trial, check) for trial in dossier.trials for check in summary.failed_checks(trial)]
    if failed:
        yield from ("", f"**Failed checks ({len(failed)})**", "")
    for trial, check in failed[:_SHOWN]:
        where = f"{plain(trial.key.task)} epoch {trial.key.epoch}"
        yield f"- {where}: {plain(check['sentence'])} ({plain(check['id'])})"
    if len(failed) > _SHOWN:
        yield f"- and {len(failed) - _SHOWN} more"
    if dossier.faults:
        yield from ("", "**Faults: could not be measured**", "")
    for trial in dossier.faults[:_SHOWN]:
        assert trial.fault is not None
        yield f"- {plain(trial.key.task)} epoch {trial.key.epoch}: {plain(trial.fault['reason'][:300])}"


def _row(row: summary.Row) -> tuple[str, ...]:
    values = (*row.scores.values(), row.composite)
    shares = tuple("-" if value is None else f"{value:.1%}" for value in values)
    cost = "-" if row.cost_usd is None else f"${row.cost_usd:.2f}"
    return (f"{plain(row.task)} ({plain(row.stack)})", str(row.trials), str(row.faults), *shares, cost)
