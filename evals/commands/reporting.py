"""`evals report`: files for people and for CI, from stored data alone; `evals view`: a look at them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evals import schema, trajectory
from evals.catalog import agents
from evals.errors import EnvironmentFault, InputError
from evals.reports import digest, frames, junit, page, picture
from evals.reports.dossier import Dossier, Side
from evals.store import Store, Trial

FORMATS = ("html", "md", "json", "junit", "csv", "parquet")
DEFAULT_FORMATS = ("html", "md", "json", "junit", "csv")


@dataclass(frozen=True, kw_only=True)
class Reporting:
    """What `evals report` is asked for. `target` is a run, or a comparison that was kept with `compare --write`."""

    target: str
    formats: tuple[str, ...]
    folder: Path
    output: Path
    root: Path


@dataclass(frozen=True, kw_only=True)
class Reported:
    """What was written, and what it is of."""

    dossier: Dossier
    paths: tuple[Path, ...]


def report(request: Reporting) -> Reported:
    """Write a report in each form that is asked for."""
    unknown = sorted(set(request.formats) - set(FORMATS))
    if unknown:
        raise InputError(f"--format: found {unknown[0]!r}; there are: {', '.join(FORMATS)}")
    store = Store(request.output)
    dossier = gather(request.target, store)
    try:
        request.folder.mkdir(parents=True, exist_ok=True)
        paths = [path for kind in request.formats for path in _write(kind, dossier, request, store)]
    except OSError as error:
        raise EnvironmentFault(f"cannot write {error.filename or request.folder}: {error.strerror}") from None
    return Reported(dossier=dossier, paths=tuple(paths))


def gather(target: str, store: Store) -> Dossier:
    """The trials that a report is of."""
    path = Path(target)
    path = path / "comparison.json" if (path / "comparison.json").is_file() else path
    if path.suffix == ".json" and path.is_file():
        return _of_comparison(path, store)
    return _of_run(store.run(path.name if (path / "run.json").is_file() else target), store)


def _of_run(document: Mapping[str, Any], store: Store) -> Dossier:
    trials = [trial for relative in document["trials"] for trial in _latest(store.folder_trials(relative))]
    if not trials:
        raise InputError(f"run {document['id']} has no trial that has ended")
    labels = dict.fromkeys(trial.document["spelled"] for trial in trials)
    return Dossier(
        title=f"{', '.join(labels)}: run {document['id']}",
        sides=(Side(role="run", label=", ".join(labels), trials=tuple(trials)),),
    )


def _latest(attempts: list[Trial]) -> list[Trial]:
    """The newest attempt that was scored, else the newest fault."""
    scored = [trial for trial in attempts if trial.fault is None]
    return (scored or attempts)[-1:]


def _of_comparison(path: Path, store: Store) -> Dossier:
    documents = json.loads(path.read_bytes())
    documents = documents if isinstance(documents, list) else [documents]
    for document in documents:
        schema.check(document, "comparison", str(path))
    if not documents:
        raise InputError(f"{path}: holds no comparison")
    known = {trial.document["id"]: trial for trial in store.all_trials()}
    sides = [_compared("base", documents[0], known, path)]
    sides += [_compared("head", document, known, path) for document in documents]
    title = f"{documents[0]['base']['label']} → {', '.join(str(d['head']['label']) for d in documents)}"
    return Dossier(title=title, sides=_named(sides), comparisons=tuple(documents))


def _compared(role: str, document: Mapping[str, Any], known: Mapping[str, Trial], path: Path) -> Side:
    names = [name for task in document["tasks"] for name in task[role]["trials"]]
    missing = [name for name in names if name not in known]
    if missing:
        raise InputError(f"{path}: trial {missing[0]} is not in the store; name the store with --output")
    return Side(role=role, label=document[role]["label"], trials=tuple(known[name] for name in names))


def _named(sides: list[Side]) -> tuple[Side, ...]:
    """Several heads are told apart by their numbers: figures are gathered by role."""
    if len(sides) == 2:
        return tuple(sides)
    return (sides[0], *(replace(side, role=f"head {number}") for number, side in enumerate(sides[1:], 1)))


def _write(kind: str, dossier: Dossier, request: Reporting, store: Store) -> list[Path]:
    folder = request.folder
    if kind == "html":
        return [page.write(dossier, folder, _sources(store, request.root)), *_pictures(dossier, folder)]
    if kind == "md":
        return [_put(folder / "report.md", digest.text(dossier).encode("utf-8", "replace"))]
    if kind == "json":
        document = dossier.document()
        schema.check(document, "report", "report")
        return [_put(folder / "report.json", json.dumps(document, indent=1).encode())]
    if kind == "junit":
        return [_put(folder / "junit.xml", junit.document(dossier))]
    return frames.write(dossier, folder, kind)


def _put(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def _pictures(dossier: Dossier, folder: Path) -> list[Path]:
    paths = []
    for number, document in enumerate(dossier.comparisons, 1):
        if document["unit"] == "share" and picture.rows_of(document):
            stem = "differences" if len(dossier.comparisons) == 1 else f"differences-{number}"
            for kind in ("svg", "png"):
                picture.of_comparison(document, folder / f"{stem}.{kind}")
                paths.append(folder / f"{stem}.{kind}")
    return paths


def _sources(store: Store, root: Path) -> page.Sources:
    return page.Sources(
        files=lambda trial: _files(trial, store),
        logs=_logs,
        events=events_of,
        prompt=lambda trial: _prompt(trial, root),
        card=lambda task: _card(task, root),
    )


def _files(trial: Trial, store: Store) -> Mapping[str, bytes]:
    workspace = trial.document["workspace"]
    try:
        return store.workspace_files(workspace["digest"]) if workspace else {}
    except InputError:
        return {}


def _logs(trial: Trial) -> Mapping[str, str]:
    paths = sorted(trial.path.parent.glob(f"{trial.path.stem}.*.log"))
    return {path.name.split(".")[-2]: path.read_text("utf-8", "replace") for path in paths}


def events_of(trial: Trial) -> list[dict[str, Any]]:
    """What a trial's solver did; nothing where it left no transcript."""
    path = trial.path.with_name(f"{trial.path.stem}.events.jsonl")
    return trajectory.read_events(path) if path.is_file() else []


def _prompt(trial: Trial, root: Path) -> str | None:
    """The prompt of a trial: as its transcript holds it, else as its spelling still says, where that is the same."""
    begun = next((event for event in events_of(trial) if event["event"] == "begin"), None)
    if begun is not None:
        return str(begun["system"])
    try:
        found = agents.load(trial.document["spelled"], root)
    except InputError:
        return None
    return found.body if found.digest == trial.key.revision else None


def _card(task: str, root: Path) -> str | None:
    """What the report card of a task's grader says, in a line."""
    path = root / "docs" / "graders" / f"{task}.json"
    if not path.is_file():
        return None
    card = schema.load_json(path.read_bytes(), "card", str(path))
    overall, low = card["mutants"]["overall"], card["mutants"]["overall"]["interval"][0]
    refused = sum(1 for solution in card["solutions"] if solution["failed"])
    return (
        f"The grader kills {overall['killed']} of {overall['total']} seeded defects (at least {low:.0%}), and refuses "
        f"{refused} of {len(card['solutions'])} other correct solutions."
    )
