"""What people read on a terminal: tables for `run`, `list` and `show`, and the live progress."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from evals.reports import summary
from evals.reports.summary import Row
from evals.store import Key, Trial

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID
    from rich.table import Table

_PER_BLOCK = 4
_BARS = " ▏▎▍▌▋▊▉█"
_SHOWN_FAILURES = 12
_SHOWN_CHARACTERS = 400
_CONTROL = {code: None for code in [*range(32), *range(127, 160)] if code not in (9, 10)}


def printable(text: str) -> str:
    """Text of an untrusted program without the control characters that a terminal obeys."""
    return text.replace("\r\n", "\n").translate(_CONTROL)


def console() -> Console:
    """Where results go."""
    from rich.console import Console

    return Console(highlight=False, soft_wrap=False)


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value * 100:.0f}%" if value in (0, 1) else f"{value * 100:.1f}%"


def _bar(value: float | None, width: int = 5) -> str:
    if value is None:
        return ""
    eighths = round(value * width * 8)
    full, rest = divmod(eighths, 8)
    return ("█" * full + (_BARS[rest] if rest else "")).ljust(width)


def _seconds(value: float) -> str:
    return f"{value:.0f} s" if value < 120 else f"{value / 60:.1f} min"


def _dollars(value: float | None) -> str:
    return "-" if value is None else f"${value:.2f}" if value == 0 or value >= 0.01 else f"${value:.4f}"


def _color(value: float | None) -> str:
    if value is None:
        return "dim"
    return "green" if value >= 0.9995 else "yellow" if value >= 0.8 else "red"


def _cell(value: float | None) -> str:
    return f"[{_color(value)}]{_bar(value)} {_percent(value):>5}[/]"


def _dimension_cell(row: Row, name: str) -> str:
    if name not in row.dimensions:
        return "[dim]-[/]"
    passed, total = row.dimensions[name]
    return f"[{_color(passed / total)}]{passed}/{total}[/]"


def _table(rows: list[Row]) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("")
    for row in rows:
        table.add_column(row.task, justify="right", overflow="fold")
    dimensions = list(dict.fromkeys(name for row in rows for name in row.dimensions))
    table.add_row("[bold]acceptance[/]", *(_cell(row.scores["acceptance"]) for row in rows))
    for name in dimensions:
        table.add_row(f"  {name}", *(_dimension_cell(row, name) for row in rows))
    for name in list(rows[0].scores)[1:]:
        table.add_row(name.replace("_", " "), *(_cell(row.scores[name]) for row in rows))
    table.add_section()
    table.add_row("[bold]composite[/]", *(f"[bold]{_percent(row.composite)}[/]" for row in rows))
    table.add_row("trials", *(str(row.trials) for row in rows))
    table.add_row("faults", *(f"[red]{row.faults}[/]" if row.faults else "0" for row in rows))
    table.add_row("time", *(_seconds(row.seconds) for row in rows))
    table.add_row("cost", *(_dollars(row.cost_usd) for row in rows))
    return table


def _failures(trials: Iterable[Trial]) -> Iterator[str]:
    from rich.markup import escape

    for trial in trials:
        where = f"{trial.document['id']}  {trial.key.task} epoch {trial.key.epoch}"
        if trial.fault is not None:
            reason = escape(printable(trial.fault["reason"])[:300])
            yield f"[red]fault[/]  {where}  {escape(trial.fault['stage'])}: {reason}"
        for attack in trial.document["attacks"]:
            yield f"[magenta]attack[/] {where}  {escape(printable(attack))}"
        for check in summary.failed_checks(trial):
            yield f"[red]failed[/] {where}  {check['id']}"


def print_run(out: Console, trials: list[Trial]) -> None:
    """The table of a run, and what failed in it."""
    rows = summary.rows(trials)
    for start in range(0, len(rows), _PER_BLOCK):
        out.print(_table(rows[start : start + _PER_BLOCK]))
    lines = list(_failures(trials))
    for line in lines[:_SHOWN_FAILURES]:
        out.print(line, soft_wrap=True)
    if len(lines) > _SHOWN_FAILURES:
        out.print(f"... and {len(lines) - _SHOWN_FAILURES} more; `evals show ID` tells all of one trial")
    if not lines:
        names = ", ".join(f"{t.document['id']} ({t.key.task} epoch {t.key.epoch})" for t in trials)
        out.print(f"trials: {names}", soft_wrap=True)


def print_list(out: Console, head: tuple[str, ...], body: Iterable[tuple[str, ...]]) -> None:
    """A line a row: all columns whole but the last, which is cut to the width of the terminal."""
    rows = [head, *(tuple(printable(cell).split("\n")[0] for cell in cells) for cells in body)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(head) - 1)]
    room = max(20, out.width - sum(widths) - 2 * len(widths))
    for number, row in enumerate(rows):
        last = row[-1] if len(row[-1]) <= room else f"{row[-1][: room - 1]}…"
        line = "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), last])
        out.print(line, style="bold" if number == 0 else None, markup=False, soft_wrap=True)


def _show_check(out: Console, check: dict[str, Any]) -> None:
    from rich.markup import escape

    out.print(f"\n[red]failed[/] [bold]{check['id']}[/] ({check['dimension']}, {check['seconds']:.1f} s)")
    out.print(f"  asked for: {escape(check['sentence'])}")
    if check.get("norm"):
        out.print(f"  by:        {escape(check['norm'])}")
    if check["expected"]:
        out.print(f"  expected:  {escape(printable(check['expected']))}")
    out.print(f"  came:      {escape(printable(check['came']))}")


def _details(score: dict[str, Any]) -> list[str]:
    found = score["details"].get("findings", []) + score["details"].get("errors", [])
    lines = [f"{item['place']}: {item['rule']} {item['message']}" for item in found]
    lines += [f"{item['test']}: {item['message']}" for item in score["details"].get("failures", [])]
    if score["name"] == "deliverables":
        lines += [f"{name}: {', '.join(fact['found'])}" for name, fact in score["details"].items() if not fact["met"]]
    return lines


def print_trial(out: Console, trial: Trial, *, log: str | None) -> None:
    """Everything about one trial: scores with reasons, failed checks, files, the service's log."""
    from rich.markup import escape

    document = trial.document
    out.print(f"[bold]trial {document['id']}[/]  {trial.path}", soft_wrap=True)
    key = trial.key
    spelled = key.agent + (f":{key.variant}" if key.variant else "")
    out.print(f"{spelled} (revision {key.revision[:12]}) on {key.task}, {key.stack}, epoch {key.epoch}")
    solver = " ".join(part for part in (key.solver, f"({key.kind})", key.model) if part)
    out.print(f"solver {solver}, attempt {document['attempt']}, {document['finished_at']}")
    if document["solution"] and document["solution"]["cost_usd"] is not None:
        out.print(f"ended: {document['solution']['ended']}; cost {_dollars(document['solution']['cost_usd'])}")
    for name, value in (document["solution"] or {}).get("provenance", {}).items():
        text = printable(str(value))
        shown = text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]} ..."
        out.print(f"  {name}: {escape(shown)}", style="dim")
    if trial.fault is not None:
        out.print(f"\n[red]fault[/] in {trial.fault['stage']}: {escape(printable(trial.fault['reason']))}")
    for attack in document["attacks"]:
        out.print(f"[magenta]attack on the grader[/] {escape(printable(attack))}")
    for score in document["scores"]:
        seconds = document["timings"].get(score["name"])
        took = f"  ({seconds:.1f} s)" if seconds is not None else ""
        out.print(f"\n{_cell(score['value'])} [bold]{score['name']}[/]  {escape(printable(score['reason']))}{took}")
        for line in _details(score)[:20]:
            out.print(f"    {escape(printable(line))}", style="dim")
    for check in summary.failed_checks(trial):
        _show_check(out, check)
    _print_files(out, document)
    if log:
        out.print("\n[bold]the service's log[/] (end)")
        out.print(escape(printable(log)), style="dim")


def _print_files(out: Console, document: Mapping[str, Any]) -> None:
    from rich.markup import escape

    workspace = document["workspace"]
    if workspace is None:
        return
    files = workspace["files"]
    out.print(f"\n[bold]workspace[/] {workspace['digest'][:12]}, {len(files)} files")
    for path, size in files.items():
        out.print(f"  {size:>8}  {escape(printable(path))}", style="dim")
    for dropped in (document["solution"] or {}).get("dropped", []):
        out.print(f"  not taken: {escape(printable(dropped))}", style="yellow")


class PlainProgress:
    """One line for each trial that ends: for logs and pipes."""

    def __init__(self, total: int, write: Callable[[str], None]) -> None:
        self._total = total
        self._done = 0
        self._write = write
        self._began: dict[Key, float] = {}

    def begin(self, key: Key) -> None:
        """Remember when."""
        self._began[key] = time.monotonic()

    def stages(self, key: Key, running: str) -> None:
        """Nothing to say."""

    def end(self, key: Key, finished: Trial) -> None:
        """One line."""
        self._done += 1
        took = time.monotonic() - self._began[key]
        self._write(f"[{self._done}/{self._total}] {label(key)}: {outcome(finished)} ({_seconds(took)})")

    def drop(self, key: Key) -> None:
        """Told with the others at the end."""


class LiveProgress:
    """A line for each trial that runs, with its stages, and a bar for the run."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress = progress
        self._total = total
        self._done = 0
        self._all = progress.add_task("trials", total=total, stage=f"0 of {total}")
        self._tasks: dict[Key, TaskID] = {}

    def begin(self, key: Key) -> None:
        """A new line."""
        self._tasks[key] = self._progress.add_task(label(key), total=None, stage="")

    def stages(self, key: Key, running: str) -> None:
        """What it is doing."""
        self._progress.update(self._tasks[key], stage=running)

    def end(self, key: Key, finished: Trial) -> None:
        """The line gives way to its result."""
        self._progress.remove_task(self._tasks.pop(key))
        self._done += 1
        self._progress.update(self._all, advance=1, stage=f"{self._done} of {self._total}")
        self._progress.console.print(f"{label(key)}: {outcome(finished)}")

    def drop(self, key: Key) -> None:
        """Its line goes."""
        self._progress.remove_task(self._tasks.pop(key))


def label(key: Key) -> str:
    """How a trial is called while it runs."""
    return f"{key.task} epoch {key.epoch}"


def outcome(finished: Trial) -> str:
    """How it ended, in a few words."""
    if finished.fault is not None:
        return f"fault in {finished.fault['stage']}: {printable(finished.fault['reason'])[:200]}"
    acceptance = finished.scores["acceptance"]
    return f"{acceptance['reason']}, composite {_percent(finished.document['composite'])}"


@contextmanager
def progress(total: int, *, live: bool) -> Iterator[PlainProgress | LiveProgress]:
    """The display of a run: live on a terminal, plain lines elsewhere; on standard error."""
    if not live:
        yield PlainProgress(total, lambda line: print(line, file=sys.stderr, flush=True))
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=20))
    shown = Progress(
        *columns, TextColumn("{task.fields[stage]}"), TimeElapsedColumn(), console=Console(stderr=True), transient=True
    )
    with shown:
        yield LiveProgress(shown, total)
