"""Agents: finding prompt files, and reading them into revisions.

agents/NAME.md                        NAME
agents/variants/NAME.VARIANT.md       NAME:VARIANT
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evals import digests
from evals.catalog import front_matter
from evals.errors import InputError
from evals.types import Revision

_NAME = re.compile(r"\A[A-Za-z0-9][\w-]{0,99}\Z")
_MAX_BYTES = 1_000_000

ACTING_FIELDS = ("tools", "disallowedTools", "model", "permissionMode", "maxTurns", "skills", "mcpServers")
"""Front-matter fields of Claude Code subagents that act on a run, and so are part of the digest."""

INERT_FIELDS = ("name", "description", "color")
"""Fields that do not act on a run when the agent is started directly."""


def _names(value: Any, field: str, source: str) -> tuple[str, ...] | None:
    """A list of tool names, written as a YAML list or with commas."""
    if value is None:
        return None
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
        raise InputError(f"{source}: {field}: found {value!r}; wanted names with commas, or a list of names")
    return tuple(part.strip() for part in parts if part.strip())


def _count(value: Any, field: str, source: str) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value > 0):
        return value
    raise InputError(f"{source}: {field}: found {value!r}; wanted a number of 1 or more")


def _text(matter: dict[str, Any], field: str, source: str) -> str:
    value = matter.get(field)
    if value is None or (isinstance(value, str) and not value):
        raise InputError(f"{source}: {field}: is missing; an agent file needs `{field}:` in its front matter")
    if isinstance(value, (dict, list)):
        raise InputError(f"{source}: {field}: found {type(value).__name__}; wanted text")
    return str(value)


def _digest(matter: dict[str, Any], body: str) -> str:
    acting = {field: matter[field] for field in ACTING_FIELDS if matter.get(field) is not None}
    for field in ("tools", "disallowedTools"):
        if isinstance(acting.get(field), str):
            acting[field] = [part.strip() for part in acting[field].split(",") if part.strip()]
    return digests.of_json({"body": body, **{key: repr(value) for key, value in acting.items()}})


def parse(data: bytes, *, variant: str | None, spelled: str, source: str) -> Revision:
    """Read an agent file. `source` names it in errors."""
    if len(data) > _MAX_BYTES:
        raise InputError(f"{source}: found {len(data)} bytes; an agent file has at most {_MAX_BYTES}")
    matter, body = front_matter.split(data, source)
    name = _text(matter, "name", source)
    if not body:
        raise InputError(f"{source}: has no prompt after its front matter")
    model = matter.get("model")
    return Revision(
        agent=name,
        variant=variant,
        digest=_digest(matter, body),
        body=body,
        description=_text(matter, "description", source),
        tools=_names(matter.get("tools"), "tools", source),
        disallowed_tools=_names(matter.get("disallowedTools"), "disallowedTools", source) or (),
        model=None if model is None else str(model),
        max_turns=_count(matter.get("maxTurns"), "maxTurns", source),
        acting_fields=tuple(k for k in ACTING_FIELDS if matter.get(k) is not None),
        unknown_fields=tuple(k for k in matter if k not in ACTING_FIELDS + INERT_FIELDS),
        spelled=spelled,
    )


def _relative(name: str, variant: str | None) -> Path:
    return Path("agents") / ("variants" if variant else "") / f"{name}{f'.{variant}' if variant else ''}.md"


def names(root: Path) -> list[tuple[str, str | None]]:
    """Every agent below `root` as (name, variant), the agents before their variants."""
    found: list[tuple[str, str | None]] = [(path.stem, None) for path in root.glob("agents/*.md")]
    for path in root.glob("agents/variants/*.md"):
        name, _, variant = path.stem.partition(".")
        if variant:
            found.append((name, variant))
    return sorted(found, key=lambda pair: (pair[0], pair[1] or ""))


def _listing(root: Path) -> str:
    spelled = [f"{name}:{variant}" if variant else name for name, variant in names(root)]
    return ", ".join(spelled) if spelled else f"none (there is no {root / 'agents'} with .md files)"


def _at_git_ref(root: Path, relative: Path, ref: str, spelled: str) -> bytes:
    if not ref or ref.startswith("-"):
        raise InputError(f"{spelled}: {ref!r} is not a git reference")
    command = ["git", "-C", str(root), "show", f"{ref}:./{relative.as_posix()}"]
    try:
        done = subprocess.run(command, capture_output=True, check=False)
    except FileNotFoundError:
        raise InputError(f"{spelled}: git is not installed, and NAME@GITREF needs it") from None
    if done.returncode != 0:
        reason = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
        raise InputError(f"{spelled}: git has no {relative} at {ref}: {' '.join(reason)}")
    return done.stdout


def _read(path: Path, spelled: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{spelled}: cannot read {path}: {error.strerror}") from None


@dataclass(frozen=True, kw_only=True)
class Source:
    """A prompt file as it was found: its bytes, its variant, how it was named, and where errors say it is."""

    data: bytes
    variant: str | None
    spelled: str
    where: str

    def revision(self) -> Revision:
        """What it says; `InputError` where it is not an agent file."""
        return parse(self.data, variant=self.variant, spelled=self.spelled, source=self.where)


def read(spelled: str, root: Path) -> Source:
    """The file that a user means by `NAME`, `NAME:VARIANT`, either with `@GITREF`, or a path."""
    if spelled.endswith(".md") or "/" in spelled.partition("@")[0]:
        path = Path(spelled)
        variant = path.stem.partition(".")[2] or None
        return Source(data=_read(path, spelled), variant=variant, spelled=spelled, where=str(path))
    bare, at, ref = spelled.partition("@")
    name, colon, variant = bare.partition(":")
    if not _NAME.match(name) or (colon and not _NAME.match(variant)):
        raise InputError(f"{spelled!r} does not name an agent; wanted NAME, NAME:VARIANT, NAME@GITREF or a path")
    relative = _relative(name, variant or None)
    if at:
        data = _at_git_ref(root, relative, ref, spelled)
    elif (root / relative).is_file():
        data = _read(root / relative, spelled)
    else:
        raise InputError(f"there is no agent {bare!r} ({root / relative}); there are: {_listing(root)}")
    where = f"{relative}@{ref}" if at else str(root / relative)
    return Source(data=data, variant=variant or None, spelled=spelled, where=where)


def load(spelled: str, root: Path) -> Revision:
    """The revision that a user means; see `read`."""
    return read(spelled, root).revision()
