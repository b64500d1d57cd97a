"""`evals export`: trials in the forms of other tools."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from evals.commands.reporting import events_of, gather
from evals.errors import EnvironmentFault, InputError
from evals.reports import inspect_log
from evals.store import Store, Trial

TARGETS = ("inspect", "atif")


def export(name: str, to: str, folder: Path, *, output: Path) -> list[Path]:
    """Write a run's or a comparison's trials for another tool; the files."""
    if to not in TARGETS:
        raise InputError(f"--to: found {to!r}; there are: {', '.join(TARGETS)}")
    trials = gather(name, Store(output)).trials
    try:
        if to == "inspect":
            return inspect_log.write(trials, folder, events_of)
        return _trajectories(trials, folder)
    except OSError as error:
        raise EnvironmentFault(f"cannot write {error.filename or folder}: {error.strerror}") from None


def _trajectories(trials: Sequence[Trial], folder: Path) -> list[Path]:
    """The ATIF trajectory of each trial that has one."""
    paths = []
    for trial in trials:
        source = trial.path.with_name(f"{trial.path.stem}.trajectory.json")
        if source.is_file():
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / f"{trial.key.task}-{trial.key.epoch}-{trial.document['id']}.json"
            shutil.copyfile(source, path)
            paths.append(path)
    if not paths:
        raise InputError("--to atif: none of these trials has a trajectory; only solvers that call a model leave one")
    return paths
