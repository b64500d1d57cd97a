"""Everything that can go wrong, by whose fault it is.

    EvalsError
    +-- InputError          the user's: a file, an option, a name (exit status 2)
    +-- EnvironmentFault    this machine's: no user namespaces, no disk, no network to install from (2)
    +-- Fault               ours or a provider's, in one trial: recorded, retried, never scored
    +-- NotStarted          nobody's: a trial that the run's budget has no room for

What an agent does wrong is not an error but a score.
"""

from __future__ import annotations

from collections.abc import Sequence


class EvalsError(Exception):
    """Root of the tree."""


class InputError(EvalsError):
    """Input that cannot be used. Each problem names its place, what was found, and what would be right."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems: Sequence[str] = problems


class EnvironmentFault(EvalsError):
    """The machine cannot do what is needed; the text says what would help."""


class Fault(EvalsError):
    """One trial could not be measured. `cost_usd` is what was spent on it nevertheless."""

    def __init__(self, stage: str, reason: str) -> None:
        super().__init__(f"{stage}: {reason}")
        self.stage = stage
        self.reason = reason
        self.cost_usd: float | None = None


class NotStarted(EvalsError):
    """A trial was not begun, and nothing was spent on it; the text says why."""
