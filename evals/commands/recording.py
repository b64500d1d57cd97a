"""`evals record`: turns finished trials of a model into recordings, to be graded without one."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evals.catalog import recordings
from evals.errors import InputError
from evals.store import Store, Trial


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """A trial, the folder of its recording, and whether that is new."""

    trial: Trial
    path: Path
    new: bool


def record(names: Iterable[str], *, output: Path, root: Path) -> list[Recorded]:
    """Keep what trials have delivered below `fixtures/recordings/`; `names` are those of trials or runs."""
    store = Store(output)
    chosen = {trial.document["id"]: trial for name in names for trial in _named(name, store)}
    problems = [problem for trial in chosen.values() if (problem := _why_not(trial))]
    if problems:
        raise InputError(*problems)
    found = []
    for trial in chosen.values():
        files = store.workspace_files(trial.document["workspace"]["digest"])
        path, new = recordings.keep(root, _document(trial), files)
        found.append(Recorded(trial=trial, path=path, new=new))
    return found


def _named(name: str, store: Store) -> list[Trial]:
    """A trial, or the scored ones of a run."""
    runs = [document for document in store.runs() if document["id"].startswith(name)]
    if not runs and name != "latest":
        return [store.find_trial(name)]
    found = []
    for relative in store.run(name)["trials"]:
        scored = [trial for trial in store.folder_trials(relative) if trial.fault is None]
        found += scored[-1:]
    if not found:
        raise InputError(f"run {name} has no trial that was scored")
    return found


def _why_not(trial: Trial) -> str:
    where = f"trial {trial.document['id']}"
    if trial.fault is not None or trial.document["workspace"] is None:
        return f"{where}: is a fault, and has delivered nothing"
    if "instruction_sha256" not in trial.document["solution"]["provenance"]:
        return f"{where}: was solved by {trial.key.solver}; only what a model has delivered is recorded"
    return ""


def _document(trial: Trial) -> dict[str, Any]:
    key, solution = trial.key, trial.document["solution"]
    known = solution["provenance"]
    options = ", ".join(f"{name} {value}" for name, value in known["options"].items() if value is not None)
    return {
        "schema_version": 1,
        "agent": key.agent,
        "variant": key.variant,
        "revision": key.revision,
        "task": key.task,
        "stack": key.stack,
        "kind": key.kind,
        "epoch": key.epoch,
        "system_prompt_sha256": known["system_prompt_sha256"],
        "instruction_sha256": known["instruction_sha256"],
        "workspace": trial.document["workspace"]["digest"],
        "made_by": f"evals {trial.document['evals_version']}, solver {key.solver} ({options}), {known['sdk']}",
        "model": key.model,
        "date": trial.document["started_at"][:10],
        "tokens": solution["tokens"],
        "cost_usd": solution["cost_usd"],
        "wall_seconds": math.ceil(trial.document["timings"].get("solve", 0.0)),
        "not_known": [] if solution["cost_usd"] is not None else ["cost"],
        "final_message": known["final_message"],
    }
