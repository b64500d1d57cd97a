"""Cheats: attacks on the grader, each laid over a delivery that deserves nothing.

fixtures/cheats/base.toml          the delivery that deserves nothing
fixtures/cheats/NAME/cheat.toml    one attack: its files and links, and how the record must name it

They are attacks on how grading works, not on what a task asks, so every task's grader is measured on all.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from evals import workspace
from evals.catalog.tasks import read_toml
from evals.workspace import Collected


@dataclass(frozen=True, kw_only=True)
class Cheat:
    """An attack. `highest` gives the scores that it may get at most: what it honestly earns."""

    name: str
    kind: int
    what: str
    seen_in: str
    named: str
    highest: Mapping[str, float]
    files: Mapping[str, str]
    links: Mapping[str, str]

    def deliver(self, base: Mapping[str, str], scratch: Path) -> Collected:
        """The attack as a solver would leave it: written to a real folder below `scratch`, and collected from it."""
        with tempfile.TemporaryDirectory(dir=scratch) as folder:
            root = Path(folder)
            for path, text in {**base, **self.files}.items():
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).write_text(text, "utf-8")
            for path, target in self.links.items():
                (root / path).symlink_to(target)
            return workspace.collect(root)


def _folder(root: Path) -> Path:
    return root / "fixtures" / "cheats"


def load_base(root: Path) -> dict[str, str]:
    """The files of the delivery that deserves nothing."""
    files: dict[str, str] = read_toml(_folder(root) / "base.toml", "cheat-base")["files"]
    return files


def load_all(root: Path) -> tuple[Cheat, ...]:
    """Every cheat below `root`, by kind and name; none where there is no `fixtures/cheats/`."""
    found = []
    for path in _folder(root).glob("*/cheat.toml"):
        document = read_toml(path, "cheat")
        found.append(
            Cheat(
                name=path.parent.name,
                kind=document["kind"],
                what=document["what"],
                seen_in=document["seen_in"],
                named=document["named"],
                highest={"acceptance": 0.0, "own_tests": 0.0, **document.get("highest", {})},
                files=document.get("files", {}),
                links=document.get("links", {}),
            )
        )
    return tuple(sorted(found, key=lambda cheat: (cheat.kind, cheat.name)))
