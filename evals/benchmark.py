"""Benchmark tasks and their checks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Check:
    """One fact that acceptance establishes.

    A check of the contract has the `sentence` of the instruction that asks for it. An expectation, which the
    instruction leaves unsaid, has a sentence of its own, the public `norm` behind it, and, where there is one, the
    `clause` of the shipped prompt that asks for it.
    """

    id: str
    sentence: str
    dimension: str
    weight: float
    norm: str | None = None
    clause: str | None = None
    kept_because: str | None = None


@dataclass(frozen=True, kw_only=True)
class Task:
    """A benchmark task, read and checked.

    `shared_checks` are folders of other tasks' checks that its own import. `any_errors`: the instruction fixes no
    shape of errors but JSON. `many_clients`: each request of the checks comes from another address.

    `digest` covers all of the folder but the reference solution, mutants and cheats; `solve_digest`
    covers only what a solver sees, so that a grader can change without new solutions being paid for.
    """

    id: str
    title: str
    version: str
    path: Path
    instruction: str
    stacks: tuple[str, ...]
    checks: tuple[Check, ...]
    weights: Mapping[str, float]
    service_env: Mapping[str, str]
    shared_checks: tuple[Path, ...]
    any_errors: bool
    many_clients: bool
    check_seconds: float
    solve_seconds: float
    acceptance_seconds: float
    own_tests_seconds: float
    digest: str
    solve_digest: str

    @property
    def root(self) -> Path:
        """The folder that holds `fixtures/`."""
        return self.path.parents[2]
