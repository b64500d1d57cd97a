"""Mutants: seeded defects of a task's reference solution, in `mutants/mutants.toml`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from evals.catalog.tasks import flat, read_toml
from evals.errors import InputError
from evals.types import Task


@dataclass(frozen=True, kw_only=True)
class Edit:
    """A replacement of one piece of a file, which stands there exactly once."""

    file: str
    old: str
    new: str


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """A defect: what it breaks, and the edits that seed it."""

    id: str
    dimension: str
    breaks: tuple[str, ...]
    subtle: bool
    edits: tuple[Edit, ...]

    def apply(self, files: Mapping[str, bytes]) -> dict[str, bytes]:
        """The solution with the defect; `InputError` where an edit does not fit."""
        changed = dict(files)
        for edit in self.edits:
            text = changed.get(edit.file, b"").decode()
            if text.count(edit.old) != 1:
                found = f"stands {text.count(edit.old)} times in {edit.file}"
                raise InputError(f"mutant {self.id}: {edit.old!r} {found}; it must stand there once")
            changed[edit.file] = text.replace(edit.old, edit.new).encode()
        return changed


def _problems(raw: list[dict[str, Any]], task: Task, source: str) -> list[str]:
    ids = [mutant["id"] for mutant in raw]
    found = [f"{source}: mutant {name}: is listed twice" for name in sorted(set(ids)) if ids.count(name) > 1]
    said = flat(task.instruction)
    expected = {check.sentence for check in task.checks if check.norm}
    return found + [
        f"{source}: mutant {mutant['id']}: breaks: found {words!r}, which is neither said nor expected"
        for mutant in raw
        for words in mutant["breaks"]
        if flat(words) not in said and words not in expected
    ]


def load(task: Task) -> tuple[Mutant, ...]:
    """The mutants of a task, or none where it has no `mutants/`."""
    path = task.path / "mutants" / "mutants.toml"
    if not path.is_file():
        return ()
    document = read_toml(path, "mutants")
    problems = _problems(document["mutants"], task, str(path))
    if problems:
        raise InputError(*problems)
    return tuple(
        Mutant(
            id=raw["id"],
            dimension=raw["dimension"],
            breaks=tuple(raw["breaks"]),
            subtle=raw.get("subtle", False),
            edits=tuple(Edit(**edit) for edit in raw["edits"]),
        )
        for raw in document["mutants"]
    )
