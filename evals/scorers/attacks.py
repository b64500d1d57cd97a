"""Attacks on the grader, named in the trial's record.

Gives no score: what holds an attack off is how grading is built.
"""

from __future__ import annotations

from dataclasses import dataclass

from evals.environments import Environments
from evals.scorers import attack_signs
from evals.types import Delivery, Sandbox, Scored


@dataclass(frozen=True, kw_only=True)
class Attacks:
    """Names attacks in the trial's record."""

    name: str = "attacks"
    gives: tuple[str, ...] = ()
    background: bool = True

    def prepare(self) -> None:
        """Nothing to install."""

    async def score(self, delivery: Delivery, sandbox: Sandbox) -> Scored:
        """Read the files; nothing is run."""
        del sandbox
        return Scored(scores=(), attacks=attack_signs.find(delivery.files))


def create(environments: Environments) -> Attacks:
    """The scorer."""
    del environments
    return Attacks()
