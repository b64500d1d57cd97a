"""How well single checks tell good trials from bad ones, and where the spread of scores comes from."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence


def item_rest(passed: Sequence[Sequence[bool]]) -> list[float | None]:
    """For each check (column), its correlation with the number of the other checks that a trial (row) passed.

    None where a check, or the rest, does not vary. Nunnally, J. C. and Bernstein, I. H. (1994): Psychometric theory,
    3rd edition, chapter 8 (corrected item-total correlation).
    """
    if not passed:
        return []
    totals = [sum(row) for row in passed]
    columns = [[int(row[n]) for row in passed] for n in range(len(passed[0]))]
    return [_correlation(c, [total - v for total, v in zip(totals, c, strict=True)]) for c in columns]


def _correlation(one: Sequence[int], other: Sequence[int]) -> float | None:
    if len(set(one)) < 2 or len(set(other)) < 2:
        return None
    return statistics.correlation(one, other)


def spreads(groups: Sequence[Sequence[float]]) -> tuple[float | None, float | None]:
    """Standard deviations within groups (pooled) and between their means; None where there is too little to tell."""
    repeated = [group for group in groups if len(group) > 1]
    freedom = sum(len(group) - 1 for group in repeated)
    squares = math.fsum((len(group) - 1) * statistics.variance(group) for group in repeated)
    means = [statistics.fmean(group) for group in groups if group]
    return (
        math.sqrt(squares / freedom) if freedom else None,
        statistics.stdev(means) if len(means) > 1 else None,
    )
