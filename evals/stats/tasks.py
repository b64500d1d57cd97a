"""Differences on tasks like these: tasks are the sample, and each gives one number.

Where revisions do not differ, a task's difference is as likely to be positive as negative, so signs may be turned
(an exact sign-flip test; Fisher 1935, The design of experiments, section 21).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from evals.stats.stratified import Estimate, Stratum, ends, p_value, t_quantile

FEWEST_TASKS = 6
"""With fewer, no arrangement of signs is rare enough: 2 / 2**5 is above 0.05."""

_MOST = 2**14
_SEED = 20_261_126


def estimate(strata: Sequence[Stratum], *, alpha: float = 0.05, bounded: bool = True) -> Estimate:
    """The mean difference over tasks like these. The interval holds what the sign-flip test or Student's t keeps.

    Raises `ValueError` under `FEWEST_TASKS` strata.
    """
    if len(strata) < FEWEST_TASKS:
        raise ValueError(f"{len(strata)} tasks; {FEWEST_TASKS} are the fewest")
    differences = np.sort([stratum.difference for stratum in strata])
    count = len(differences)
    mean = math.fsum(differences) / count
    spread = math.fsum((value - mean) ** 2 for value in differences)
    # Equal differences do not show that tasks like these cannot differ: one in (count + 2) by half of the range might.
    guard = (1.0 if bounded else mean * mean) / 4 / (count + 2)
    variance = spread / (count - 1) if spread > 1e-18 * max(1.0, mean * mean) else guard
    error = math.sqrt(variance / count)
    half = t_quantile(1 - alpha / 2, count - 1) * error
    signs = _signs(count)
    exact_low, exact_high = _inverted(differences, signs, alpha)
    low, high = min(exact_low, mean - half), max(exact_high, mean + half)
    return Estimate(
        difference=mean,
        low=max(low, -1.0) if bounded else low,
        high=min(high, 1.0) if bounded else high,
        alpha=alpha,
        p=p_value(mean, signs @ differences / count),
        error=error,
        freedom=float(count - 1),
        arrangements=len(signs),
    )


@lru_cache(maxsize=16)
def _signs(count: int) -> np.ndarray:
    """All rows of signs, or a seeded sample closed under mirroring; the real one (all 1) is among them."""
    if 2**count <= _MOST:
        bits = (np.arange(2**count)[:, np.newaxis] >> np.arange(count)) & 1
        return 1.0 - 2.0 * bits
    generator = np.random.default_rng([_SEED, count])
    half = 1.0 - 2.0 * generator.integers(0, 2, (_MOST // 2, count))
    half[0] = 1.0
    return np.concatenate([half, -half])


def _inverted(differences: np.ndarray, signs: np.ndarray, alpha: float) -> tuple[float, float]:
    """Means that the sign-flip test keeps.

    Turning a subset is as far out as the real signs for a mean d where d >= the subset's own mean.
    """
    turned = (signs < 0).sum(axis=1)
    moved = turned > 0
    return ends((differences @ (signs[moved] < 0).T) / turned[moved], len(signs), alpha)
