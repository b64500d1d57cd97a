"""Looking at the data several times: levels for each look that together spend no more than alpha.

Error is spent by the power family alpha * t ** rho of Kim, K. and DeMets, D. L. (1987): Design and analysis of group
sequential tests based on the type I error spending rate function, Biometrika 74, 149-154. Levels follow from the
recursion of Armitage, P., McPherson, C. K. and Rowe, B. C. (1969): Repeated significance tests on accumulating data,
JRSS A 132, 235-244. Intervals at these levels are the repeated confidence intervals of Jennison, C. and Turnbull, B. W.
(1989), JRSS B 51, 305-361: they hold at whatever look one stops, and for whatever reason.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import special

Floats = NDArray[np.float64]

RHO = 1.2
"""Chosen by simulation (docs/statistics.md): early looks can end a clear case, late ones cost little power."""

GROWTH = 1.35
_GRID = 501
_PATHS = 20_000
_SEED = 20_261_127


def looks(first: int, last: int) -> tuple[int, ...]:
    """Numbers of epochs at which to look: from `first`, each about a third more than the one before, to `last`."""
    found = [min(first, last)]
    while found[-1] < last:
        found.append(min(last, max(found[-1] + 1, round(found[-1] * GROWTH))))
    return tuple(found)


def levels(fractions: Sequence[float], alpha: float, rho: float = RHO) -> tuple[float, ...]:
    """The two-sided level of each look, at fractions of the largest sample that rise to at most 1.

    Raises `ValueError` where they do not rise, or leave (0, 1].
    """
    if any(b <= a for a, b in zip([0.0, *fractions], fractions, strict=False)) or fractions[-1] > 1 + 1e-9:
        raise ValueError(f"fractions must rise within (0, 1]; found {fractions}")
    spent = [alpha * t**rho for t in fractions]
    steps = [b - a for a, b in zip([0.0, *spent], spent, strict=False)]
    found: list[float] = []
    grid, density, past = np.zeros(1), np.ones(1), 0.0
    for t, step in zip(fractions, steps, strict=True):
        spread = np.sqrt(t - past)
        bound = _bound(grid, density, spread, step)
        found.append(float(2 * special.ndtr(-bound / np.sqrt(t))))
        points = np.linspace(-bound, bound, _GRID)
        kernel = np.exp(-0.5 * ((points[:, np.newaxis] - grid) / spread) ** 2) / (spread * np.sqrt(2 * np.pi))
        grid, density, past = points, kernel @ _weights(grid, density), t
    return tuple(found)


def _bound(grid: Floats, density: Floats, spread: float, step: float) -> float:
    """The value that a Brownian path, still within all earlier bounds, leaves with probability `step`."""
    weights = _weights(grid, density)
    low, high = 0.0, 12.0
    for _ in range(60):
        middle = (low + high) / 2
        beyond = special.ndtr((grid - middle) / spread) + special.ndtr((-grid - middle) / spread)
        low, high = (middle, high) if float(beyond @ weights) > step else (low, middle)
    return (low + high) / 2


def _weights(grid: Floats, density: Floats) -> Floats:
    """The density times the trapezoid rule's widths; a single point has all of it."""
    if len(grid) == 1:
        return density
    weights: Floats = density * (grid[1] - grid[0])
    weights[[0, -1]] /= 2
    return weights


def outlook(drift: float, rounds: Sequence[int], alpha: float, rho: float = RHO) -> tuple[float, float]:
    """Power, and the expected number of epochs, when looking after each of `rounds`.

    `drift` is the true difference over the standard error of one epoch. By 20,000 seeded paths of the statistic.
    """
    fractions = np.array(rounds) / rounds[-1]
    bounds = -special.ndtri(np.array(levels(list(fractions), alpha, rho)) / 2)
    steps = np.sqrt(np.diff([0.0, *fractions]))
    paths = np.cumsum(np.random.default_rng(_SEED).standard_normal((_PATHS, len(rounds))) * steps, axis=1)
    statistic = (paths + drift * np.sqrt(rounds[-1]) * fractions) / np.sqrt(fractions)
    crossed = np.abs(statistic) > bounds
    stopped = np.where(crossed.any(axis=1), crossed.argmax(axis=1), len(rounds) - 1)
    return float(crossed.any(axis=1).mean()), float(np.array(rounds)[stopped].mean())
