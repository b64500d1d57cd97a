"""Types: mypy with a fixed configuration of ours on `app`; the delivery's own and its ignores do not count.

Mypy has no switch against `# type: ignore` and `# mypy:` comments, so they are taken out of the copy
that it reads, and counted.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evals import workspace
from evals.environments import Environments
from evals.errors import Fault
from evals.scorers import canary, density, mypy_cache
from evals.types import Delivery, Finished, Job, Limits, Program, Sandbox, Score, Scored

_SILENCERS = re.compile(rb"#\s*(?:type:\s*ignore|mypy:)[^\r\n]*")
_SHOWN = 50


def without_silencers(files: Mapping[str, bytes]) -> tuple[dict[str, bytes], int]:
    """The files with `# type: ignore` and `# mypy:` comments blanked, and how many there were."""
    stripped, count = dict(files), 0
    for path, data in density.python_files(files).items():
        stripped[path], number = _SILENCERS.subn(b"#", data)
        count += number
    return stripped, count


def _errors(finished: Finished) -> list[dict[str, Any]]:
    found = []
    for line in finished.output.splitlines():
        try:
            raw = json.loads(line)
        except ValueError:
            continue
        if isinstance(raw, dict) and raw.get("severity") == "error":
            place = f"{raw.get('file')}:{raw.get('line')}"
            found.append({"place": place, "rule": raw.get("code"), "message": raw.get("message")})
    return found


@dataclass(frozen=True, kw_only=True)
class Types:
    """The scorer `types`."""

    known: mypy_cache.MypyCache
    name: str = "types"
    gives: tuple[str, ...] = ("types",)
    background: bool = True

    def prepare(self) -> None:
        """Mypy is a package of the stack."""

    async def _program(self, delivery: Delivery, sandbox: Sandbox) -> Program:
        return await self.known.program(delivery, sandbox, "--output", "json", "app", limits=Limits(wall=240.0))

    async def _run(self, delivery: Delivery, files: Mapping[str, bytes], sandbox: Sandbox) -> Finished:
        program = await self._program(delivery, sandbox)
        with tempfile.TemporaryDirectory(dir=delivery.scratch) as folder:
            archive = Path(folder) / "workspace.tar.gz"
            archive.write_bytes(workspace.archive(files))
            return await sandbox.run(Job(workspace=archive, main=program))

    async def score(self, delivery: Delivery, sandbox: Sandbox) -> Scored:
        """Count mypy's errors per 100 lines of `app`."""
        app = {path: data for path, data in delivery.files.items() if path.startswith("app/")}
        lines = density.code_lines(app)
        if lines == 0:
            return Scored(scores=(Score(name="types", value=0.0, reason="there is no Python code under app/"),))
        files, silenced = without_silencers(delivery.files)
        finished = await self._run(delivery, files, sandbox)
        errors = _errors(finished)
        if finished.reason != "exit" or finished.status not in (0, 1) or (finished.status == 1 and not errors):
            return await self._failed(delivery, finished, sandbox)
        return Scored(scores=(_to_score(errors, lines, silenced),))

    async def _failed(self, delivery: Delivery, finished: Finished, sandbox: Sandbox) -> Scored:
        """Mypy gave up: 0 where the delivery made it, a fault where it does so on good code too."""
        how = f"{finished.reason}, status {finished.status}: {finished.output[-1000:]}"
        if not await canary.works(delivery, await self._program(delivery, sandbox), sandbox):
            raise Fault("types", f"mypy does not work here: {how}")
        return Scored(scores=(Score(name="types", value=0.0, reason=f"mypy could not read the delivery: {how}"),))


def _to_score(errors: list[dict[str, Any]], lines: int, silenced: int) -> Score:
    return Score(
        name="types",
        value=density.value(len(errors), lines),
        reason=f"{len(errors)} errors in {lines} lines of app/; {silenced} silencing comments, not obeyed",
        details={"errors": errors[:_SHOWN], "lines": lines, "silencers": silenced},
    )


def create(environments: Environments) -> Types:
    """The scorer."""
    return Types(known=mypy_cache.MypyCache(environments=environments))
