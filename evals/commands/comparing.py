"""Comparing: which trials a user means, and what they say."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evals import compare as comparison
from evals import schema
from evals.catalog import agents
from evals.errors import InputError
from evals.pairing import Side, Wanted, pair
from evals.rulings import Gate, Question
from evals.store import Store, Trial

_RUN_ID = re.compile(r"\A\d{8}-\d{6}-[0-9a-f]{1,4}\Z|\Alatest\Z")


@dataclass(frozen=True, kw_only=True)
class Comparing:
    """What `evals compare` is asked for."""

    base: str
    heads: tuple[str, ...]
    agent: str | None
    tasks: tuple[str, ...]
    question: Question
    gate: Gate
    solver: str | None
    kind: str | None
    model: str | None
    settings: str | None
    output: Path
    root: Path


@dataclass(frozen=True, kw_only=True)
class Compared:
    """Comparisons in the order of the heads (`comparison.schema.json`), whether all pass, whether all have figures."""

    documents: list[dict[str, Any]]
    passed: bool
    measured: bool


def compare(request: Comparing) -> Compared:
    """Compare each head with the base; several heads share alpha after Holm."""
    if request.base in request.heads:
        raise InputError(f"{request.base} and {request.base} are the same revision")
    store = Store(request.output)
    wanted = Wanted(solver=request.solver, kind=request.kind, model=request.model, settings=request.settings)
    base = side(request.base, request, store)
    pairings = []
    for spelled in request.heads:
        head = side(spelled, request, store)
        if head.revision == base.revision:
            raise InputError(f"{request.base} and {spelled} are the same revision ({base.revision[:12]})")
        pairings.append((head, pair(base, head, wanted)))
    documents = comparison.compare_each(base, pairings, request.question, request.gate)
    for document in documents:
        schema.check(document, "comparison", f"comparison of {base.label} and {document['head']['label']}")
    return Compared(
        documents=documents,
        passed=all(document["gate"]["passed"] for document in documents),
        measured=all(document["difference"] for document in documents),
    )


def side(spelled: str, request: Comparing, store: Store) -> Side:
    """The trials that a user means: a run's folder or id, or a revision in any spelling."""
    if (Path(spelled) / "run.json").is_file():
        store = Store(Path(spelled).resolve().parent.parent)
        found = _of_run(spelled, Path(spelled).resolve().name, store)
    elif _RUN_ID.match(spelled):
        found = _of_run(spelled, spelled, store)
    else:
        found = _of_revision(spelled, request, store)
    kept = tuple(trial for trial in found.trials if not request.tasks or trial.key.task in request.tasks)
    if not kept:
        raise InputError(f"{spelled}: has no trial of {', '.join(request.tasks)} in {store.root}")
    return replace(found, trials=kept)


def _of_run(label: str, name: str, store: Store) -> Side:
    document = store.run(name)
    trials = [trial for relative in document["trials"] for trial in store.folder_trials(relative)]
    revisions = sorted({(trial.key.agent, trial.key.revision) for trial in trials})
    if len(revisions) != 1:
        shown = ", ".join(f"{agent} {revision[:12]}" for agent, revision in revisions) or "none that has finished"
        raise InputError(f"{label}: a run to compare holds the trials of one revision; found {shown}")
    return Side(label=label, agent=revisions[0][0], revision=revisions[0][1], trials=tuple(trials))


def _of_revision(spelled: str, request: Comparing, store: Store) -> Side:
    full = spell(spelled, request.agent, request.root)
    revision = agents.load(full, request.root)
    trials: list[Trial] = store.revision_trials(revision.agent, revision.digest)
    if not trials:
        raise InputError(
            f"{spelled}: there is no trial of revision {revision.short} in {store.root}; run it first: "
            f"evals run --agent {full}"
        )
    return Side(label=spelled, agent=revision.agent, revision=revision.digest, trials=tuple(trials))


def spell(spelled: str, agent: str | None, root: Path) -> str:
    """A revision as `agents.load` reads it: a bare git reference is taken of `--agent`."""
    is_path = spelled.endswith(".md") and "@" not in spelled
    names = {name for name, _ in agents.names(root)}
    if is_path or spelled.partition("@")[0].partition(":")[0] in names:
        return spelled
    if agent is None:
        raise InputError(
            f"{spelled!r}: is neither an agent ({', '.join(sorted(names)) or 'there is none'}), a run nor a path; to "
            "compare git references, name the agent with --agent"
        )
    if spelled.startswith(":"):
        return f"{agent.partition('@')[0].partition(':')[0]}{spelled}"
    return f"{agent.partition('@')[0]}@{spelled}"
