"""Looking at what there is: list, show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from evals import schema, trajectory
from evals.catalog import agents, recordings, tasks
from evals.errors import InputError
from evals.store import Store, Trial

Listing = tuple[tuple[str, ...], list[tuple[str, ...]]]
"""Head and rows of a table."""


def listing(what: str, *, root: Path, output: Path) -> Listing:
    """Head and rows of `evals list`."""
    lists = {"agents": lambda: _agents(root), "tasks": lambda: _tasks(root), "runs": lambda: _runs(output)}
    if what not in lists:
        raise InputError(f"cannot list {what!r}; there are: {', '.join(lists)}")
    return lists[what]()


def _agents(root: Path) -> Listing:
    recorded = recordings.load_all(root)
    rows: list[tuple[str, ...]] = []
    for name, variant in agents.names(root):
        spelled = f"{name}:{variant}" if variant else name
        revision = agents.load(spelled, root)
        count = sum(1 for recording in recorded if recording.revision == revision.digest)
        rows.append((spelled, revision.short, str(count), revision.description.split("\n")[0][:120]))
    return ("agent", "revision", "recordings", "description"), rows


def _tasks(root: Path) -> Listing:
    rows: list[tuple[str, ...]] = [
        (task.id, task.version, ", ".join(task.stacks), str(len(task.checks)), task.title)
        for task in tasks.load_all([], root)
    ]
    return ("task", "version", "stacks", "checks", "title"), rows


def _runs(output: Path) -> Listing:
    rows: list[tuple[str, ...]] = [
        (document["id"], str(len(document["trials"])), "evals " + " ".join(document["command"]))
        for document in Store(output).runs()
    ]
    return ("run", "trials", "command"), rows


def show(name: str, *, output: Path) -> tuple[Trial, str | None]:
    """A trial, and the end of its service's log."""
    trial = Store(output).find_trial(name)
    log = trial.path.with_name(f"{trial.path.stem}.service.log")
    return trial, log.read_text("utf-8", "replace")[-6000:] if log.is_file() else None


def transcript(name: str, *, output: Path) -> list[dict[str, Any]]:
    """The events of a trial's solver; those of a trial that was interrupted by their file."""
    if name.endswith(".events.jsonl") and Path(name).is_file():
        return _events(Path(name))
    trial = Store(output).find_trial(name)
    own = trial.path.with_name(f"{trial.path.stem}.events.jsonl")
    # A trial that was graded again was not solved again: its transcript is that of an earlier attempt.
    earlier = sorted(trial.path.parent.glob("[0-9a-f]*.events.jsonl"), key=lambda path: path.stat().st_mtime)
    found = [own] if own.is_file() else earlier[-1:]
    if not found:
        raise InputError(f"trial {trial.document['id']} has no transcript: {trial.key.solver} calls no model")
    return _events(found[0])


def _events(path: Path) -> list[dict[str, Any]]:
    events = trajectory.read_events(path)
    for number, event in enumerate(events, 1):
        schema.check(event, "event", f"{path}, line {number}")
    return events
