"""Writes docs/statistics.md from what `simulate.py` has found.

python benchmarks/stats/report.py [results.json] [docs/statistics.md]
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from evals.reports.markdown import table

Row = dict[str, Any]

HEAD = """# Statistics

How a verdict is reached, and why so: [decisions/0005-statistics.md](decisions/0005-statistics.md). This page shows,
by simulation, how often it is wrong and what it costs. Made by

```sh
python benchmarks/stats/simulate.py --replications {replications}
python benchmarks/stats/report.py
```

## The model

A check c of task t passes in a trial e with probability sigmoid(quality_t + trial_e - difficulty_c), 50 checks a
task: checks of one trial stand and fall together. Quality varies between tasks (standard deviation 0.8 logits
unless said otherwise), trials of a task by 0.7 logits, checks by 1. A score is the share of checks passed; its
standard deviation between trials is about 0.09 in the typical scenario. A revision shifts the quality of all tasks
until the mean score differs by the effect. Crashes make a whole trial score 0; faults take it away. Every row draws
new tasks in each replication. The margin is 0.05, alpha 0.05, confidence 95%. The standard error of a share of 5%
is {error:.2%} at {replications} replications.
"""

NULL = """
## Without any difference, fixed size

False verdicts are `improved` and `regressed` together; at most 5% are allowed. Coverage is how often the interval
holds the true difference.
"""

UNTIL = """
## Without any difference, adding epochs until the verdict is clear

`evals run --against BASE --until-verdict`: looks after 3, 4, 5, 7, 9, 12, 16 and 20 epochs. Coverage is that of the
interval at which it stopped. Trials are of both revisions together; the most are 120 for 3 tasks, 400 for 10 and
1,200 for 30. Where no verdict is reached by 20 epochs, it is inconclusive.
"""

EFFECT = """
## With a difference, fixed size

The share of right verdicts (power), of verdicts that point the wrong way, and coverage.
"""

AGAINST = """
## What a verdict costs

Trials (of both revisions) until the verdict is clear, on average, and the fixed number of trials that others need
for the same power: a t-test of all trials without regard to tasks, and the exact permutation test within tasks
without looking before the end. `-` is more than 60 epochs.
"""

ALARMS = """
## Other gates, without any difference

How often each speaks of a regression at 3 tasks and 3 epochs.
"""

GENERAL = """
## Tasks like these

`--generalize`, 3 epochs of each task: false verdicts where the mean difference over all tasks is zero.
"""

NEYMAN = """
## Epochs where the variance is

Neyman's allocation by the pooled spread of each task's trials, beside equal epochs; no difference, 10 tasks.
"""


def _percent(value: float) -> str:
    return f"{value * 100:.1f}%"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    return "\n".join(table(head, rows)) + "\n"


def _wrong(row: Row) -> str:
    return _percent(row["improved"] + row["regressed"])


def _right(row: Row) -> tuple[str, str]:
    names = ("regressed", "improved") if "-" in row["scenario"].split()[-1] else ("improved", "regressed")
    return _percent(row[names[0]]), _percent(row[names[1]])


def _of(rows: list[Row], part: str) -> list[Row]:
    return [row for row in rows if row["part"] == part]


def _fixed(rows: list[Row]) -> str:
    head = ("scenario", "tasks", "epochs", "false verdicts", "equivalent", "coverage", "width")
    return _table(
        head,
        (
            (
                row["scenario"],
                str(row["tasks"]),
                str(row["epochs"]),
                _wrong(row),
                _percent(row["equivalent"]),
                _percent(row["coverage"]),
                f"{row['width']:.3f}",
            )
            for row in _of(rows, "null")
        ),
    )


def _is_null(row: Row) -> bool:
    return not row["scenario"].split()[-1].lstrip("+-").isdigit()


def _until(rows: list[Row]) -> str:
    head = ("scenario", "tasks", "false verdicts", "equivalent", "coverage", "trials")
    return _table(
        head,
        (
            (
                row["scenario"],
                str(row["tasks"]),
                _wrong(row),
                _percent(row["equivalent"]),
                _percent(row["coverage"]),
                f"{row['trials']:.0f}",
            )
            for row in _of(rows, "until-verdict")
            if _is_null(row) and not row["neyman"]
        ),
    )


def _neyman(rows: list[Row]) -> str:
    both = {(row["scenario"], row["neyman"]): row for row in _of(rows, "until-verdict") if row["tasks"] == 10}
    names = [name for name, neyman in both if neyman and _is_null(both[name, True])]
    return _table(
        ("scenario", "allocation", "false verdicts", "coverage", "trials"),
        (
            (name, kind, _wrong(row), _percent(row["coverage"]), f"{row['trials']:.0f}")
            for name in names
            for kind, row in (("equal", both[name, False]), ("Neyman", both[name, True]))
        ),
    )


def _effects(rows: list[Row]) -> str:
    return _table(
        ("scenario", "tasks", "epochs", "power", "wrong way", "coverage"),
        (
            (row["scenario"], str(row["tasks"]), str(row["epochs"]), *_right(row), _percent(row["coverage"]))
            for row in _of(rows, "effect")
        ),
    )


def _trials(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"


def _ratio(ours: float, others: float | None) -> str:
    return "-" if others is None else f"{ours / others:.2f}"


def _against(rows: list[Row]) -> str:
    head = ("scenario", "tasks", "power", "until verdict", "pooled t-test", "ratio", "permutation, fixed size", "ratio")
    return _table(
        head,
        (
            (
                row["scenario"],
                str(row["tasks"]),
                _percent(row["power"]),
                _trials(row["ours"]),
                _trials(row["pooled t-test"]),
                _ratio(row["ours"], row["pooled t-test"]),
                _trials(row["stratified permutation"]),
                _ratio(row["ours"], row["stratified permutation"]),
            )
            for row in _of(rows, "against")
        ),
    )


def _alarms(rows: list[Row]) -> str:
    names = ("two means", "pooled t-test", "evals compare")
    return _table(
        ("scenario", *names),
        ((row["scenario"], *(_percent(row[name]) for name in names)) for row in _of(rows, "false-alarms")),
    )


def _general(rows: list[Row]) -> str:
    return _table(
        ("scenario", "tasks", "false verdicts", "equivalent"),
        (
            (row["scenario"], str(row["tasks"]), _wrong(row), _percent(row["equivalent"]))
            for row in _of(rows, "generalize")
        ),
    )


def main() -> None:
    """Read the results, write the page."""
    here = Path(__file__).parent
    source = Path(sys.argv[1]) if len(sys.argv) > 1 else here / "results.json"
    target = Path(sys.argv[2]) if len(sys.argv) > 2 else here.parent.parent / "docs" / "statistics.md"
    rows = json.loads(source.read_text())
    count = max(row["replications"] for row in _of(rows, "null"))
    parts = [
        HEAD.format(replications=count, error=(0.05 * 0.95 / count) ** 0.5),
        NULL,
        _fixed(rows),
        UNTIL,
        _until(rows),
        EFFECT,
        _effects(rows),
        AGAINST,
        _against(rows),
        ALARMS,
        _alarms(rows),
        GENERAL,
        _general(rows),
        NEYMAN,
        _neyman(rows),
    ]
    notes = here / "notes.md"
    parts += ["\n", notes.read_text()] if notes.exists() else []
    target.write_text("\n".join(part.strip("\n") + "\n" for part in parts))


if __name__ == "__main__":
    main()
