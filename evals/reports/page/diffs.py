"""Two deliveries, or two prompts, line by line."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from evals.reports.dossier import Dossier
from evals.reports.terminal import printable
from evals.store import Trial

_MOST_LINES = 4000
_MOST_BYTES = 300_000
_OPEN_FILES = 3
_KINDS = {"+": "add", "-": "del", "@": "at"}


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two trials of one task, set side by side."""

    base: Trial
    head: Trial

    @property
    def file(self) -> str:
        """The name of its page."""
        return f"{self.base.document['id']}-{self.head.document['id']}.html"

    @property
    def name(self) -> str:
        """How a reader knows it."""
        epochs = f"epoch {self.base.key.epoch}"
        if self.base.key.epoch != self.head.key.epoch:
            epochs = f"epochs {self.base.key.epoch} and {self.head.key.epoch}"
        return f"{self.base.key.task}, {self.base.key.stack}, {epochs}"


def pairs_of(dossier: Dossier) -> list[Pair]:
    """Base and head of the same task and epoch; where nothing is compared, an epoch and the next."""
    sides = [[trial for trial in side.trials if trial.document["workspace"]] for side in dossier.sides]
    if len(sides) == 1:
        return [Pair(base=a, head=b) for a, b in zip(sides[0], sides[0][1:], strict=False) if _place(a) == _place(b)]
    known = {(*_place(trial), trial.key.epoch): trial for trial in sides[0]}
    found = [(known.get((*_place(trial), trial.key.epoch)), trial) for side in sides[1:] for trial in side]
    return [Pair(base=base, head=head) for base, head in found if base is not None]


def _place(trial: Trial) -> tuple[str, str]:
    return trial.key.task, trial.key.stack


def values(pair: Pair, files: Callable[[Trial], Mapping[str, bytes]]) -> dict[str, Any]:
    """What the page of a pair shows."""
    base, head = files(pair.base), files(pair.head)
    changed = [path for path in sorted({*base, *head}) if base.get(path) != head.get(path)]
    return {
        "title": pair.name,
        "base": pair.base.document["id"],
        "head": pair.head.document["id"],
        "files": [_file(path, base.get(path), head.get(path), place) for place, path in enumerate(changed)],
    }


def _file(path: str, base: bytes | None, head: bytes | None, place: int) -> dict[str, Any]:
    note = "only in the head" if base is None else "only in the base" if head is None else "changed"
    return {
        "path": printable(path),
        "note": note,
        "open": place < _OPEN_FILES,
        "lines": lines(_text(base or b""), _text(head or b"")),
    }


def _text(data: bytes) -> str:
    return data[:_MOST_BYTES].decode("utf-8", "replace")


def lines(base: str, head: str) -> list[dict[str, str]]:
    """A unified diff, each line with its kind."""
    found: list[dict[str, str]] = []
    for line in difflib.unified_diff(base.splitlines(), head.splitlines(), lineterm="", n=3):
        if line.startswith(("---", "+++")) and len(found) < 1:
            continue
        found.append({"kind": _KINDS.get(line[:1], "same"), "text": printable(line)})
        if len(found) >= _MOST_LINES:
            found.append({"kind": "at", "text": "[... more ...]"})
            break
    return found
