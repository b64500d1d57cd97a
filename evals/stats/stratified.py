"""Differences between two revisions on fixed tasks: each task is a stratum, and epochs are the sample.

The difference is the mean over tasks of (mean of head's trials - mean of base's). Whether it is one of chance is
answered by exchanging trials between the revisions within each task: where the revisions do not differ, every such
arrangement is as likely as the one that came (a permutation test, exact for any number of trials).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy import special

MOST_ARRANGEMENTS = 10_000
"""Up to so many arrangements are gone through; of more, one fewer than so many are drawn, and the real one is added."""

_SEED = 20_261_125

Floats = NDArray[np.float64]
Side = tuple[tuple[float, ...], ...]


_ROUNDING = 1e-12


@dataclass(frozen=True, kw_only=True)
class Stratum:
    """One task's values under both revisions; at least one each."""

    name: str
    base: tuple[float, ...]
    head: tuple[float, ...]

    @property
    def difference(self) -> float:
        """Mean of head less mean of base."""
        return math.fsum(self.head) / len(self.head) - math.fsum(self.base) / len(self.base)


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A difference with its interval at confidence `1 - alpha`.

    `p` is two-sided and exact; it is never below `2 / arrangements`. `error` is the standard error, `freedom` its
    degrees of freedom. The interval holds all differences that either the exact test or Welch's does not refuse.
    """

    difference: float
    low: float
    high: float
    alpha: float
    p: float
    error: float
    freedom: float
    arrangements: int


def estimate(
    strata: Sequence[Stratum], *, alpha: float = 0.05, bounded: bool = True, most: int = MOST_ARRANGEMENTS
) -> Estimate:
    """Estimate the difference on these tasks. `bounded` values lie between 0 and 1, and so the interval in [-1, 1].

    The exact interval inverts the permutation test under a constant shift: Garthwaite, P. H. (1996): Confidence
    intervals from randomization tests, Biometrics 52, 1387-1393. The other is Welch's (1947) with Satterthwaite's
    degrees of freedom, stratified, its variances guarded (`cell_variance`) and careful where they are unlike. Swapping
    base and head mirrors the result, and neither the order of trials nor that of tasks matters. Raises `ValueError`
    without a stratum.
    """
    if not strata:
        raise ValueError("there is no stratum")
    sides = _sides([(s.base, s.head) for s in strata])
    swapped = _sides([(s.head, s.base) for s in strata])
    if swapped < sides:
        return _mirrored(_estimate(*swapped, alpha=alpha, bounded=bounded, most=most))
    found = _estimate(*sides, alpha=alpha, bounded=bounded, most=most)
    if swapped == sides:
        half = max(-found.low, found.high)
        found = replace(found, low=-half, high=half)
    return found


def _sides(cells: Sequence[tuple[tuple[float, ...], tuple[float, ...]]]) -> tuple[Side, Side]:
    """Both revisions' values, task by task, in an order that depends on the values alone."""
    pairs = sorted(((tuple(sorted(base)), tuple(sorted(head))) for base, head in cells), key=lambda p: (sorted(p), p))
    return tuple(base for base, _ in pairs), tuple(head for _, head in pairs)


def _mirrored(found: Estimate) -> Estimate:
    return replace(found, difference=-found.difference, low=-found.high, high=-found.low)


def _estimate(base: Side, head: Side, *, alpha: float, bounded: bool, most: int) -> Estimate:
    difference = math.fsum(math.fsum(h) / len(h) - math.fsum(b) / len(b) for b, h in zip(base, head, strict=True))
    difference /= len(base)
    error, freedom = _standard_error(base, head, bounded=bounded)
    half = t_quantile(1 - alpha / 2, freedom) * error
    moves = _arrangements(base, head, most)
    exact_low, exact_high = _inverted(difference, moves, alpha)
    # An end that is 0 but for rounding must not make a verdict.
    slack = _ROUNDING * max(1.0, abs(difference))
    low, high = min(exact_low, difference - half) - slack, max(exact_high, difference + half) + slack
    if bounded:
        low, high = max(low, -1.0), min(high, 1.0)
    return Estimate(
        difference=difference,
        low=low,
        high=high,
        alpha=alpha,
        p=p_value(difference, moves.differences),
        error=error,
        freedom=freedom,
        arrangements=len(moves.differences),
    )


def cell_variance(values: Sequence[float], *, bounded: bool) -> float:
    """The sample variance of a task's trials under one revision; guarded where all values are equal.

    Equal values do not show that there is no variance. They are then taken as the least that is possible together
    with one trial that would differ: the variance m (1 - m) of a share at m = (sum + 1) / (n + 2) (Laplace's rule of
    succession), counted as one of n observations. Unbounded values get a quarter of their square in its place.
    """
    n = len(values)
    mean = math.fsum(values) / n
    squares = math.fsum((value - mean) ** 2 for value in values)
    if squares > 1e-18 * max(1.0, mean * mean):
        return squares / (n - 1)
    if not bounded:
        return mean * mean / 4 / n
    share = (math.fsum(values) + 1) / (n + 2)
    return share * (1 - share) / n


def _standard_error(base: Side, head: Side, *, bounded: bool) -> tuple[float, float]:
    """The standard error of the difference, and its degrees of freedom after Welch and Satterthwaite.

    Variances of means are s^2 / (n - k). Where both revisions vary alike, k is 0, as in Welch's test; the more they
    differ, the nearer it comes to 1, the HC3 estimate of MacKinnon, J. G. and White, H. (1985), Journal of Econometrics
    29, 305-325, which few trials of very different variances need.
    """
    spreads = [[cell_variance(values, bounded=bounded) for values in side] for side in (base, head)]
    sums = sorted(math.fsum(side) for side in spreads)
    unlike = 1 - sums[0] / sums[1] if sums[1] > 0 else 0.0
    cells = [
        (spread, len(values))
        for s, side in zip(spreads, (base, head), strict=True)
        for spread, values in zip(s, side, strict=True)
    ]
    parts = [(spread / max(1.0, n - unlike), n) for spread, n in cells]
    total = math.fsum(part for part, _ in parts)
    spread = math.fsum(part * part / max(1, n - 1) for part, n in parts)
    freedom = total * total / spread if spread > 0 else float(len(parts))
    return math.sqrt(total) / len(base), freedom


def t_quantile(share: float, freedom: float) -> float:
    """Quantile of Student's t distribution."""
    return float(special.stdtrit(freedom, share))


@dataclass(frozen=True, kw_only=True)
class _Moves:
    """Arrangements of trials: the difference that each gives, and the part of the shift that each keeps (1: all)."""

    differences: Floats
    kept: Floats


def _arrangements(base: Side, head: Side, most: int) -> _Moves:
    """All arrangements, or a seeded sample of them; the real one comes first."""
    count = math.prod(math.comb(len(b) + len(h), len(h)) for b, h in zip(base, head, strict=True))
    tasks = len(base)
    differences, kept = np.zeros(1), np.zeros(1)
    for n, (b, h) in enumerate(zip(base, head, strict=True)):
        chosen = _choices(len(b), len(h)) if count <= most else _draws(n, len(b), len(h), most)
        part = _contrast(np.array([*b, *h]), chosen.positions, len(h))
        if count <= most:
            differences = np.add.outer(differences, part).ravel()
            kept = np.add.outer(kept, chosen.kept).ravel()
        else:
            differences, kept = differences + part, kept + chosen.kept
    return _Moves(differences=differences / tasks, kept=kept / tasks)


@dataclass(frozen=True, kw_only=True)
class _Chosen:
    """Rows of positions that play head in a task, and the part of a shift of head's trials that each row keeps."""

    positions: NDArray[np.intp]
    kept: Floats


@lru_cache(maxsize=128)
def _choices(base: int, head: int) -> _Chosen:
    """Every choice of `head` positions, the last ones first."""
    return _chosen(np.array(list(combinations(range(base + head - 1, -1, -1), head)), dtype=np.intp), base, head)


@lru_cache(maxsize=256)
def _draws(task: int, base: int, head: int, most: int) -> _Chosen:
    """`most` choices of `head` positions: the last ones, then random ones, which differ from task to task."""
    generator = np.random.default_rng([_SEED, task, base, head])
    drawn = np.argpartition(generator.random((most - 1, base + head)), head - 1, axis=1)[:, :head]
    return _chosen(np.concatenate([np.arange(base, base + head)[np.newaxis, :], drawn]), base, head)


def _chosen(positions: NDArray[np.intp], base: int, head: int) -> _Chosen:
    was_head = np.array([0.0] * base + [1.0] * head)
    return _Chosen(positions=positions, kept=_contrast(was_head, positions, head))


def _contrast(numbers: Floats, positions: NDArray[np.intp], head: int) -> Floats:
    """For each row, the mean of what plays head less the mean of the rest."""
    inside = numbers[positions].sum(axis=1)
    found: Floats = inside / head - (numbers.sum() - inside) / (len(numbers) - head)
    return found


def p_value(difference: float, others: Floats) -> float:
    """Two-sided: twice the smaller share of arrangements at least as far out as the real one, which is among them."""
    slack = 1e-12
    above = float(np.mean(others >= difference - slack))
    below = float(np.mean(others <= difference + slack))
    return min(1.0, 2 * min(above, below))


def ends(shifts: Floats, total: int, alpha: float) -> tuple[float, float]:
    """The shifts that are not refused at `alpha`, of `total` arrangements.

    `shifts` holds, for each arrangement that is not the real one again, the shift from which on it is as far out as
    the real one. A shift is kept while more than alpha / 2 of all arrangements are at least as far out.
    """
    ordered = np.sort(shifts)
    needed = math.floor(alpha / 2 * total + 1e-9) + 1 - (total - len(ordered))
    if needed <= 0 or needed > len(ordered):
        return -math.inf, math.inf
    return float(ordered[needed - 1]), float(ordered[-needed])


def _inverted(difference: float, moves: _Moves, alpha: float) -> tuple[float, float]:
    """Differences that the permutation test does not refuse at `alpha`, had head's trials been shifted by them.

    An arrangement is as far out as the real one, for a shift d, where d >= (difference - its difference) / (1 - kept).
    """
    moved = moves.kept < 1 - 1e-9
    ratios = (difference - moves.differences[moved]) / (1 - moves.kept[moved])
    return ends(ratios, len(moves.kept), alpha)
