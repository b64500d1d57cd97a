"""Several questions at once."""

from __future__ import annotations

from collections.abc import Sequence


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for their number, so that all errors together stay under the level.

    Holm, S. (1979): A simple sequentially rejective multiple test procedure. Scandinavian Journal of Statistics 6,
    65-70.
    """
    if not p_values:
        return []
    from statsmodels.stats.multitest import multipletests

    return [float(p) for p in multipletests(list(p_values), method="holm")[1]]


def holm_level(p_values: Sequence[float], index: int, alpha: float) -> float:
    """The level at which Holm's procedure judges one of several p-values: alpha over those left at its turn."""
    rank = sorted(range(len(p_values)), key=lambda n: (p_values[n], n)).index(index)
    return alpha / (len(p_values) - rank)
