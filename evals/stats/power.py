"""What a comparison can detect, and what it would take to settle it."""

from __future__ import annotations

import math

from evals.stats.stratified import Estimate, t_quantile

POWER = 0.8
_MOST_EPOCHS = 10_000


def detectable(found: Estimate, power: float = POWER) -> float:
    """The smallest true difference that this many trials find with the given power at `found.alpha`.

    (t(1 - alpha/2) + t(power)) x standard error: Bloom, H. S. (1995): Minimum detectable effects, Evaluation Review 19,
    547-556.
    """
    return _sum_of_quantiles(found, power) * found.error


def _sum_of_quantiles(found: Estimate, power: float) -> float:
    return t_quantile(1 - found.alpha / 2, found.freedom) + t_quantile(power, found.freedom)


def epochs_to_settle(found: Estimate, epochs: float, margin: float) -> int | None:
    """Epochs in all after which the verdict is likely clear, if the estimate is the truth; None where that is never.

    Clear means that the interval leaves zero, or stays within the margin. `epochs` is how many there are for each task.
    """
    reach = max(abs(found.difference), margin - abs(found.difference))
    if reach <= 0:
        return None
    needed = math.ceil(epochs * (detectable(found) / reach) ** 2)
    return needed if needed <= _MOST_EPOCHS else None


def epochs_to_detect(effect: float, spread: float, tasks: int, *, alpha: float = 0.05, power: float = POWER) -> int:
    """Epochs of each task and revision that find `effect` with the given power, at a standard deviation of `spread`.

    The standard deviation is that between trials of one task. Raises `ValueError` where the effect is not above 0.
    """
    if effect <= 0:
        raise ValueError(f"an effect to detect is above 0; found {effect}")
    for epochs in range(2, _MOST_EPOCHS):
        freedom = 2 * tasks * (epochs - 1)
        error = spread * math.sqrt(2 / (tasks * epochs))
        if (t_quantile(1 - alpha / 2, freedom) + t_quantile(power, freedom)) * error <= effect:
            return epochs
    return _MOST_EPOCHS
