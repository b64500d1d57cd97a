"""Shares of successes: intervals, pass@k and pass^k."""

from __future__ import annotations

import math

_Z95 = 1.959963984540054  # the 97.5% point of the standard normal distribution


def wilson(successes: int, total: int, z: float = _Z95) -> tuple[float, float]:
    """The score interval of a proportion; (0, 1) where there is nothing to go by.

    Wilson, E. B. (1927): Probable inference, the law of succession, and statistical inference.
    Journal of the American Statistical Association 22, 209-212. `z` is the normal quantile: 95% by default.
    """
    if total == 0:
        return 0.0, 1.0
    share = successes / total
    spread = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    middle = share + z * z / (2 * total)
    scale = 1 + z * z / total
    # At shares of 0 and 1, rounding would leave the share itself just outside.
    return max(0.0, min(share, (middle - spread) / scale)), min(1.0, max(share, (middle + spread) / scale))


def pass_at_k(successes: int, total: int, k: int) -> float:
    """The chance that at least one of `k` trials succeeds, estimated without bias from `total` trials.

    1 - C(n - c, k) / C(n, k): Chen, M. et al. (2021): Evaluating large language models trained on code, section 2.1.
    Raises `ValueError` where there are fewer than `k` trials.
    """
    _check_k(total, k)
    return 1 - math.comb(total - successes, k) / math.comb(total, k)


def pass_hat_k(successes: int, total: int, k: int) -> float:
    """The chance that all of `k` trials succeed (pass^k), estimated without bias from `total` trials.

    C(c, k) / C(n, k): Yao, S. et al. (2024): tau-bench, section 3. Raises `ValueError` as `pass_at_k` does.
    """
    _check_k(total, k)
    return math.comb(successes, k) / math.comb(total, k)


def _check_k(total: int, k: int) -> None:
    if not 1 <= k <= total:
        raise ValueError(f"k = {k} needs as many trials; there are {total}")
