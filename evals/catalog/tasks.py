"""Tasks: Harbor's tree under `fixtures/tasks/ID/`, read and checked as a whole.

task.toml              Harbor's settings; ours under [metadata.evals]
instruction.md         what the agent is asked for
environment/           what its workspace holds at the start, and a Dockerfile for Harbor
tests/manifest.toml    every check: its id, the sentence that asks for it, its dimension
tests/checks_*.py      the acceptance checks
tests/test.sh          Harbor's way to run them
solution/              the reference solution
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from evals import digests, schema
from evals.errors import InputError
from evals.types import Check, Stack, Task

_CHECK_FUNCTION = re.compile(r"^def (test_\w+)\(", re.MULTILINE)
_GRADED = ("task.toml", "instruction.md", "environment/**/*", "tests/**/*")
_SOLVED = ("instruction.md", "environment/**/*")


def folder(root: Path) -> Path:
    """Where the tasks are."""
    return root / "fixtures" / "tasks"


def names(root: Path) -> list[str]:
    """Ids of all tasks, sorted."""
    return sorted(path.parent.name for path in folder(root).glob("*/task.toml"))


def read_toml(path: Path, name: str) -> dict[str, Any]:
    """A TOML document, checked against the schema `name`."""
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: is missing; a task needs it") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: is not TOML: {error}") from None
    schema.check(document, name, str(path))
    return document


def flat(text: str) -> str:
    """A text without the marks and line breaks of Markdown, to find words in it."""
    return re.sub(r"[\s|*`]+", " ", text).strip()


def _manifest_problems(path: Path, raw: list[dict[str, Any]], instruction: str) -> list[str]:
    said = flat(instruction)
    ids = [check["id"] for check in raw]
    written = {
        name for file in path.parent.glob("checks_*.py") for name in _CHECK_FUNCTION.findall(file.read_text("utf-8"))
    }
    found = [f"{path}: check {name}: is listed twice" for name in sorted(set(ids)) if ids.count(name) > 1]
    found += [f"{path}: check {name}: no checks_*.py defines it" for name in sorted(set(ids) - written)]
    found += [f"{path}: check {name}: is defined, but not listed" for name in sorted(written - set(ids))]
    found += [
        f"{path}: check {check['id']}: sentence: found {check['sentence']!r}, which instruction.md does not say"
        for check in raw
        if flat(check["sentence"]) not in said
    ]
    return found


def _checks(path: Path, instruction: str) -> tuple[Check, ...]:
    raw = read_toml(path, "manifest")["checks"]
    found = _manifest_problems(path, raw, instruction)
    if found:
        raise InputError(*found)
    return tuple(
        Check(
            id=c["id"],
            sentence=c["sentence"],
            dimension=c["dimension"],
            weight=float(c.get("weight", 1.0)),
            kept_because=c.get("kept_because"),
        )
        for c in raw
    )


def _check_weights(weights: dict[str, float], path: Path) -> None:
    total = sum(weights.values())
    if abs(total - 1) > 1e-6:
        raise InputError(f"{path}: metadata.evals.weights: found a sum of {total:g}; the weights must add up to 1")


def load(name: str, root: Path) -> Task:
    """Read a task; `InputError` names each file and field at fault."""
    path = folder(root) / name
    if not (path / "task.toml").is_file():
        raise InputError(f"there is no task {name!r} ({path}); there are: {', '.join(names(root)) or 'none'}")
    settings = read_toml(path / "task.toml", "task")
    ours = settings["metadata"]["evals"]
    _check_weights(ours["weights"], path / "task.toml")
    try:
        instruction = (path / "instruction.md").read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path / 'instruction.md'}: cannot be read: {error}") from None
    return Task(
        id=name,
        title=settings["task"]["description"],
        version=ours["version"],
        path=path,
        instruction=instruction,
        stacks=tuple(ours["stacks"]),
        checks=_checks(path / "tests" / "manifest.toml", instruction),
        weights=ours["weights"],
        service_env=ours["service"]["env"],
        check_seconds=float(ours["limits"]["check_sec"]),
        solve_seconds=float(settings["agent"]["timeout_sec"]),
        acceptance_seconds=float(settings["verifier"]["timeout_sec"]),
        own_tests_seconds=float(ours["limits"]["own_tests_sec"]),
        digest=digests.of_files(digests.folder_files(path, _GRADED)),
        solve_digest=digests.of_files(digests.folder_files(path, _SOLVED)),
    )


def asked(task: Task, stack: Stack) -> str:
    """What an agent is asked: the instruction, an empty line, the stack's page."""
    return f"{task.instruction}\n{stack.page}"


def load_all(wanted: list[str], root: Path) -> list[Task]:
    """The named tasks, or all of them; `InputError` collects the faults of every one."""
    problems: list[str] = []
    loaded = []
    for name in wanted or names(root):
        try:
            loaded.append(load(name, root))
        except InputError as error:
            problems.extend(error.problems)
    if problems:
        raise InputError(*problems)
    if not loaded:
        raise InputError(f"there is no task in {folder(root)}")
    return loaded
