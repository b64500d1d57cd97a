"""A model of trials: tasks of different difficulty, checks that stand or fall together within a trial, ceilings.

A check c of task t passes in a trial e with probability sigmoid(quality_t + trial_e - difficulty_c). A revision changes
`quality`, a crash makes a whole trial fail, a fault takes it away. Scores are shares of checks passed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

CHECKS = 50
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(15)

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """`effect` is the true difference of the mean score; the head's quality is shifted until it has that."""

    name: str
    effect: float = 0.0
    quality: float = 2.0
    between_tasks: float = 0.8
    between_trials: float = 0.7
    head_between_trials: float | None = None
    crashes: float = 0.0
    faults: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Tasks:
    """Tasks that have been drawn, and what is true of them."""

    base: Floats
    head: Floats
    difficulty: Floats
    truth: float


def _expected(quality: Floats, spread: float, difficulty: Floats) -> Floats:
    """The expected score of each task, by Gauss-Hermite quadrature over trials."""
    inner = quality[:, None, None] + spread * _NODES[None, :, None] - difficulty[:, None, :]
    by_node = expit(inner).mean(axis=2)
    found: Floats = by_node @ (_WEIGHTS / _WEIGHTS.sum())
    return found


def draw_tasks(scenario: Scenario, tasks: int, random: np.random.Generator) -> Tasks:
    """Tasks, with the shift of quality that gives the scenario's effect as nearly as a ceiling allows."""
    base = scenario.quality + scenario.between_tasks * random.standard_normal(tasks)
    difficulty = random.standard_normal((tasks, CHECKS))
    head_spread = scenario.head_between_trials or scenario.between_trials
    before = _expected(base, scenario.between_trials, difficulty).mean()
    shift = _shift(scenario, base, difficulty, before)
    truth = (_expected(base + shift, head_spread, difficulty).mean() - before) * (1 - scenario.crashes)
    return Tasks(base=base, head=base + shift, difficulty=difficulty, truth=float(truth))


def _shift(scenario: Scenario, base: Floats, difficulty: Floats, before: float) -> float:
    """How much better or worse the head's quality is, to have the effect: by bisection."""
    head_spread = scenario.head_between_trials or scenario.between_trials
    if scenario.effect == 0 and head_spread == scenario.between_trials:
        return 0.0
    low, high = -8.0, 8.0
    for _ in range(18):
        middle = (low + high) / 2
        now = _expected(base + middle, head_spread, difficulty).mean() - before
        low, high = (middle, high) if now < scenario.effect / (1 - scenario.crashes) else (low, middle)
    return (low + high) / 2


def draw_scores(
    quality: Floats, spread: float, *, drawn: Tasks, scenario: Scenario, epochs: int, random: np.random.Generator
) -> Floats:
    """Scores, tasks x epochs; a fault is NaN."""
    tasks = len(quality)
    trial = spread * random.standard_normal((tasks, epochs))
    chance = expit(quality[:, None, None] + trial[:, :, None] - drawn.difficulty[:, None, :])
    scores = (random.random((tasks, epochs, CHECKS)) < chance).mean(axis=2)
    scores[random.random((tasks, epochs)) < scenario.crashes] = 0.0
    scores[random.random((tasks, epochs)) < scenario.faults] = np.nan
    return scores


def draw(scenario: Scenario, tasks: int, epochs: int, random: np.random.Generator) -> tuple[Floats, Floats, float]:
    """Base's scores, head's scores, and the true difference."""
    drawn = draw_tasks(scenario, tasks, random)
    head_spread = scenario.head_between_trials or scenario.between_trials
    base = draw_scores(
        drawn.base, scenario.between_trials, drawn=drawn, scenario=scenario, epochs=epochs, random=random
    )
    head = draw_scores(drawn.head, head_spread, drawn=drawn, scenario=scenario, epochs=epochs, random=random)
    return base, head, drawn.truth
