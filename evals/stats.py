"""Numbers in, numbers out."""

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
