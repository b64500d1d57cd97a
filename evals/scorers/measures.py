"""The environment `measures`: tools that look at a delivery's code and are no packages of its stack."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from evals.environments import Environments
from evals.types import Limits, Program

_NAME = "measures"
_ENV = {"PATH": "/usr/bin:/bin", "HOME": "/tmp", "LANG": "C.UTF-8", "TZ": "UTC"}


@dataclass(frozen=True, kw_only=True)
class Measures:
    """Cosmic Ray and lizard, from a lock file with hashes."""

    environments: Environments

    @property
    def _lock(self) -> str:
        return resources.files("evals.scorers").joinpath("data", "measures.lock").read_text("utf-8")

    def prepare(self) -> None:
        """Install them, once."""
        self.environments.ensure(_NAME, self._lock)

    def tool(self, script: str, *argv: str, limits: Limits) -> Program:
        """`data/tools/SCRIPT` with these arguments, in the workspace's root."""
        packages = self.environments.path(_NAME, self._lock)
        source = Path(str(resources.files("evals.scorers").joinpath("data", "tools", script)))
        return Program(
            argv=(str(packages / "bin" / "python"), "-I", "-B", f"/tool/{script}", *argv),
            env=_ENV,
            read_only=((packages, str(packages)), (source, f"/tool/{script}")),
            limits=limits,
        )
