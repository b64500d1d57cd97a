"""Trials and checks as tables of pandas, for CSV, Parquet and notebooks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from evals.errors import EnvironmentFault
from evals.reports.dossier import Dossier, Side, checks_of
from evals.store import Trial

if TYPE_CHECKING:
    import pandas as pd


def trials(dossier: Dossier) -> pd.DataFrame:
    """A row for each trial: what it is of, its scores (0 to 1), cost (US dollars), seconds and tokens."""
    import pandas as pd

    return pd.DataFrame([_trial(side, trial) for side in dossier.sides for trial in side.trials])


def checks(dossier: Dossier) -> pd.DataFrame:
    """A row for each check of each trial."""
    import pandas as pd

    rows = [
        {**_place(side, trial), **{name: check[name] for name in ("id", "dimension", "outcome", "seconds", "sentence")}}
        for side in dossier.sides
        for trial in side.trials
        for check in checks_of(trial)
    ]
    columns = [*_PLACE, "id", "dimension", "outcome", "seconds", "sentence"]
    return pd.DataFrame(rows, columns=columns).rename(columns={"id": "check"})


_PLACE = ("trial", "role", "label", "agent", "variant", "revision", "task", "stack", "solver", "model", "epoch")


def _place(side: Side, trial: Trial) -> dict[str, Any]:
    key = trial.key
    values = (trial.document["id"], side.role, side.label, key.agent, key.variant, key.revision, key.task, key.stack)
    return dict(zip(_PLACE, (*values, key.solver, key.model, key.epoch), strict=True))


def _trial(side: Side, trial: Trial) -> dict[str, Any]:
    document = trial.document
    solution = document["solution"] or {}
    found = checks_of(trial)
    return {
        **_place(side, trial),
        "attempt": document["attempt"],
        "composite": document["composite"],
        **{score["name"]: score["value"] for score in document["scores"]},
        "checks_passed": sum(check["outcome"] == "passed" for check in found) if found else None,
        "checks": len(found) or None,
        "ended": solution.get("ended"),
        "cost_usd": trial.cost_usd,
        "seconds": sum(document["timings"].values()),
        **{f"tokens_{name}": count for name, count in (solution.get("tokens") or {}).items()},
        "attacks": len(document["attacks"]),
        "fault": trial.fault["reason"] if trial.fault else None,
        "finished_at": document["finished_at"],
    }


def write(dossier: Dossier, folder: Path, kind: str) -> list[Path]:
    """Both tables as `csv` or `parquet`; the files."""
    paths = []
    for name, frame in (("trials", trials(dossier)), ("checks", checks(dossier))):
        path = folder / f"{name}.{kind}"
        if kind == "csv":
            frame.to_csv(path, index=False)
        else:
            _to_parquet(frame, path)
        paths.append(path)
    return paths


def _to_parquet(frame: pd.DataFrame, path: Path) -> None:
    try:
        frame.to_parquet(path, index=False)
    except ImportError:
        raise EnvironmentFault("--format parquet: needs pyarrow; pip install 'evals[parquet]'") from None
