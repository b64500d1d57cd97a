"""How often verdicts are wrong, intervals hold the truth, and how many trials a verdict takes.

    python benchmarks/stats/simulate.py [--replications 4000] [--part NAME] [--write docs/statistics-results.json]

Each part draws tasks and trials from `model.py`, and gives them to the code that `evals compare` runs.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from scipy import special

sys.path.insert(0, str(Path(__file__).parent))

from model import Floats, Scenario, draw

from evals.rulings import verdict_of
from evals.stats import sequential
from evals.stats import tasks as like_these
from evals.stats.stratified import Stratum, estimate

MARGIN, ALPHA = 0.05, 0.05
ARRANGEMENTS = 400
FIRST, LAST = 3, 20

NULLS = (
    Scenario(name="typical"),
    Scenario(name="hard tasks", quality=-1.0),
    Scenario(name="ceiling", quality=5.0),
    Scenario(name="noisy trials", between_trials=1.5),
    Scenario(name="tasks far apart", between_tasks=1.6),
    Scenario(name="head more variable", between_trials=0.3, head_between_trials=1.5),
    Scenario(name="crashes 5%", crashes=0.05),
    Scenario(name="ceiling, crashes 5%", quality=5.0, crashes=0.05),
    Scenario(name="faults 10%", faults=0.1),
)
EFFECTS = (
    Scenario(name="typical -10", effect=-0.1),
    Scenario(name="typical -20", effect=-0.2),
    Scenario(name="typical +5", effect=0.05),
    Scenario(name="ceiling -10", quality=4.0, effect=-0.1),
    Scenario(name="noisy trials -10", between_trials=1.5, effect=-0.1),
    Scenario(name="tasks far apart -10", between_tasks=1.6, effect=-0.1),
    Scenario(name="tasks far apart -20", between_tasks=1.6, effect=-0.2),
    Scenario(name="crashes 5% -10", crashes=0.05, effect=-0.1),
)
SIZES = ((3, 3), (3, 5), (3, 10), (3, 20), (10, 3), (10, 10), (30, 3))


def allocate(spreads: Sequence[float], epochs: int, least: Sequence[int], most: Sequence[int]) -> list[int]:
    """Epochs for each task, `epochs` on average, in proportion to the spread of its trials: Neyman's allocation.

    Neyman, J. (1934), JRSS 97, 558-625. `least` is what each task has already, `most` what it can have. Spreads must
    not tell the revisions apart (pooled over both), or the exchange of trials would no longer be fair.
    """
    total = epochs * len(spreads)
    found = list(least)
    floor = max(spreads, default=0.0) / 4 or 1.0
    wanted = [max(spread, floor) for spread in spreads]
    while sum(found) < total:
        open_tasks = [n for n in range(len(found)) if found[n] < most[n]]
        if not open_tasks:
            break
        neediest = max(open_tasks, key=lambda n: (wanted[n] / (found[n] + 0.5), -n))
        found[neediest] += 1
    return found


def strata(base: Floats, head: Floats, epochs: Any = None) -> list[Stratum]:
    """Tasks with a scored trial of both revisions; `epochs` is how many each has, or one number for all."""
    found = []
    for n in range(len(base)):
        last = epochs[n] if isinstance(epochs, list) else epochs
        b, h = (side[n][:last] for side in (base, head))
        b, h = b[~np.isnan(b)], h[~np.isnan(h)]
        if len(b) and len(h):
            found.append(Stratum(name=str(n), base=tuple(b), head=tuple(h)))
    return found


def fixed(scenario: Scenario, tasks: int, epochs: int, replications: int) -> dict[str, Any]:
    """A comparison of fixed size."""
    random = np.random.default_rng([1, tasks, epochs])
    verdicts, covered, widths = [], 0, []
    for _ in range(replications):
        base, head, truth = draw(scenario, tasks, epochs, random)
        found = estimate(strata(base, head), alpha=ALPHA, most=ARRANGEMENTS)
        verdicts.append(verdict_of(found, MARGIN))
        covered += found.low - 1e-9 <= truth <= found.high + 1e-9
        widths.append(found.high - found.low)
    return {**_shares(verdicts), "coverage": covered / replications, "width": statistics.fmean(widths)}


def _shares(verdicts: list[str]) -> dict[str, float]:
    names = ("improved", "regressed", "equivalent", "inconclusive")
    return {name: verdicts.count(name) / len(verdicts) for name in names}


def until_verdict(scenario: Scenario, tasks: int, replications: int, *, neyman: bool, last: int) -> dict[str, Any]:
    """Rounds until the verdict is clear, at most `last` epochs."""
    random = np.random.default_rng([2, tasks, last])
    verdicts, trials, covered = [], [], 0
    for _ in range(replications):
        base, head, truth = draw(scenario, tasks, 2 * last, random)
        verdict, used, inside = _one(base, head, truth, neyman=neyman, last=last)
        verdicts.append(verdict)
        trials.append(used)
        covered += inside
    return {**_shares(verdicts), "coverage": covered / replications, "trials": statistics.fmean(trials)}


def _one(base: Floats, head: Floats, truth: float, *, neyman: bool, last: int) -> tuple[str, int, bool]:
    tasks = len(base)
    epochs, fractions = [0] * tasks, []
    most = [2 * last if neyman else last] * tasks
    for rounds in sequential.looks(FIRST, last):
        if neyman and epochs[0]:
            pooled = [np.concatenate([base[n][:k], head[n][:k]]) for n, k in enumerate(epochs)]
            spreads = [float(np.nanstd(values)) for values in pooled]
            epochs = allocate(spreads, rounds, epochs, most)
        else:
            epochs = [rounds] * tasks
        fractions.append(min(1.0, sum(epochs) / (last * tasks)))
        level = _level(tuple(fractions))
        found = estimate(strata(base, head, epochs), alpha=level, most=ARRANGEMENTS)
        verdict = verdict_of(found, MARGIN)
        if verdict != "inconclusive":
            break
    return verdict, 2 * sum(epochs), found.low - 1e-9 <= truth <= found.high + 1e-9


_levels: dict[tuple[float, ...], float] = {}


def _level(fractions: tuple[float, ...]) -> float:
    if fractions not in _levels:
        _levels[fractions] = sequential.levels(fractions, ALPHA)[-1]
    return _levels[fractions]


def _pooled_t(base: Floats, head: Floats, epochs: int) -> str:
    """What a t-test of all trials, without regard to tasks, says."""
    b, h = (side[:, :epochs].ravel() for side in (base, head))
    b, h = b[~np.isnan(b)], h[~np.isnan(h)]
    error = math.sqrt(b.var(ddof=1) / len(b) + h.var(ddof=1) / len(h))
    if error == 0:
        return "inconclusive"
    p = 2 * special.stdtr(len(b) + len(h) - 2, -abs(h.mean() - b.mean()) / error)
    return ("improved" if h.mean() > b.mean() else "regressed") if p <= ALPHA else "inconclusive"


def _two_means(base: Floats, head: Floats, epochs: int) -> str:
    b, h = (np.nanmean(side[:, :epochs]) for side in (base, head))
    return "improved" if h > b else "regressed" if h < b else "equivalent"


def _permutation(base: Floats, head: Floats, epochs: int) -> str:
    return verdict_of(estimate(strata(base, head, epochs), alpha=ALPHA, most=ARRANGEMENTS), 0.0)


def needed(scenario: Scenario, tasks: int, replications: int, power: float) -> dict[str, Any]:
    """Epochs of fixed size at which other methods reach the power that looking as one goes has."""
    random = np.random.default_rng([3, tasks])
    drawn = [draw(scenario, tasks, 60, random)[:2] for _ in range(replications)]
    right = "regressed" if scenario.effect < 0 else "improved"

    def smallest(method: Callable[[Floats, Floats, int], str]) -> int | None:
        for epochs in (*range(2, 20), *range(20, 61, 2)):
            if statistics.fmean(method(b, h, epochs) == right for b, h in drawn) >= power:
                return epochs * 2 * tasks
        return None

    return {
        "power": power,
        "pooled t-test": smallest(_pooled_t),
        "stratified permutation": smallest(_permutation),
        "two means, 3 epochs": statistics.fmean(_two_means(b, h, 3) == right for b, h in drawn),
    }


def false_alarms(scenario: Scenario, tasks: int, replications: int) -> dict[str, Any]:
    """How often other gates speak of a regression where there is none, at 3 epochs."""
    random = np.random.default_rng([4, tasks])
    drawn = [draw(scenario, tasks, 3, random)[:2] for _ in range(replications)]
    return {
        "two means": statistics.fmean(_two_means(b, h, 3) == "regressed" for b, h in drawn),
        "pooled t-test": statistics.fmean(_pooled_t(b, h, 3) == "regressed" for b, h in drawn),
        "evals compare": statistics.fmean(_permutation(b, h, 3) == "regressed" for b, h in drawn),
    }


def generalized(scenario: Scenario, tasks: int, epochs: int, replications: int) -> dict[str, Any]:
    """Tasks as the sample: what is true is the mean over all tasks, here 0."""
    random = np.random.default_rng([5, tasks, epochs])
    verdicts = []
    for _ in range(replications):
        base, head, _ = draw(scenario, tasks, epochs, random)
        verdicts.append(verdict_of(like_these.estimate(strata(base, head), alpha=ALPHA), MARGIN))
    return _shares(verdicts)


Cell = tuple[dict[str, Any], Callable[..., dict[str, Any]], tuple[Any, ...], dict[str, Any]]


def _fixed_cells(part: str, replications: int) -> Iterator[Cell]:
    for scenario in NULLS if part == "null" else EFFECTS:
        for tasks, epochs in SIZES:
            where = {"part": part, "scenario": scenario.name, "tasks": tasks, "epochs": epochs}
            count = replications if part == "null" else replications // 4
            yield where, fixed, (scenario, tasks, epochs, count), {}


def _until_cells(part: str, replications: int) -> Iterator[Cell]:
    """Neyman's allocation is tried where trials of the two revisions vary alike, and where they do not."""
    for scenario in NULLS + EFFECTS:
        for tasks, neyman in ((3, False), (10, False), (30, False), (10, True)):
            if not neyman or scenario in (NULLS[0], NULLS[5]):
                count = replications if scenario in NULLS else max(200, replications // 4)
                where = {"part": part, "scenario": scenario.name, "tasks": tasks, "neyman": neyman, "last": LAST}
                yield where, until_verdict, (scenario, tasks, count), {"neyman": neyman, "last": LAST}


def _alarm_cells(part: str, replications: int) -> Iterator[Cell]:
    for scenario in NULLS:
        yield {"part": part, "scenario": scenario.name, "tasks": 3}, false_alarms, (scenario, 3, replications), {}


def _general_cells(part: str, replications: int) -> Iterator[Cell]:
    for scenario in (NULLS[0], NULLS[2], NULLS[4]):
        for tasks in (6, 10, 30):
            where = {"part": part, "scenario": scenario.name, "tasks": tasks, "epochs": 3}
            yield where, generalized, (scenario, tasks, 3, replications), {}


CELLS = {
    "null": _fixed_cells,
    "effect": _fixed_cells,
    "false-alarms": _alarm_cells,
    "generalize": _general_cells,
    "until-verdict": _until_cells,
}


def _run(cell: tuple[Any, ...]) -> dict[str, Any]:
    where, function, arguments, keywords = cell
    began = time.monotonic()
    found = function(*arguments, **keywords)
    row = {
        **where,
        "replications": next(n for n in reversed(arguments) if isinstance(n, int)),
        **found,
        "seconds": round(time.monotonic() - began, 1),
    }
    print(json.dumps(row), file=sys.stderr, flush=True)
    return row


def against_others(rows: list[dict[str, Any]], replications: int) -> Iterator[tuple[Any, ...]]:
    """For each effect, what others need for the power that `until-verdict` had."""
    by_name = {scenario.name: scenario for scenario in EFFECTS}
    for row in rows:
        scenario = by_name.get(row["scenario"])
        if row["part"] == "until-verdict" and scenario and row["tasks"] in (3, 10) and not row["neyman"]:
            right = "regressed" if scenario.effect < 0 else "improved"
            power = min(row[right], 0.995)
            if power >= 0.5:
                where = {"part": "against", "scenario": scenario.name, "tasks": row["tasks"], "ours": row["trials"]}
                yield where, needed, (scenario, row["tasks"], max(200, replications // 8), power), {}


def main() -> None:
    """Run the parts and write their rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replications", type=int, default=4_000)
    parser.add_argument("--part", action="append", choices=[*CELLS, "against"])
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--write", type=Path, default=Path(__file__).parent / "results.json")
    options = parser.parse_args()
    parts = options.part or [*CELLS, "against"]
    rows = json.loads(options.write.read_text()) if options.write.exists() else []
    with ProcessPoolExecutor(options.jobs) as pool:
        for part in parts:
            cells = (
                against_others(rows, options.replications)
                if part == "against"
                else CELLS[part](part, options.replications)
            )
            found = list(pool.map(_run, list(cells)))
            rows = [row for row in rows if row["part"] != part] + found
            options.write.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
