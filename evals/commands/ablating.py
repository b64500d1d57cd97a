"""`evals ablate`: which clauses of a prompt earn their tokens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evals import compare
from evals.catalog import agents, clauses
from evals.catalog.clauses import Clause
from evals.commands.running import Request, execute_together, plan_of, side_of, work_of
from evals.environments import Environments
from evals.errors import InputError
from evals.pairing import pair
from evals.rulings import Question
from evals.store import Store

Tell = Callable[[str], None]

MEANINGS = {
    "regressed": "earns its tokens: without it, results are worse",
    "improved": "does harm: without it, results are better",
    "equivalent": "makes no difference on these tasks",
    "inconclusive": "not known: too few epochs",
}
"""What the verdict on a prompt without a clause says of that clause."""


@dataclass(frozen=True, kw_only=True)
class Ablated:
    """A clause, and the comparison of the whole prompt with the prompt without it."""

    clause: Clause
    document: dict[str, Any]


def find(spelled: str, root: Path, wanted: tuple[str, ...]) -> list[Clause]:
    """The clauses of a prompt, or those of the given names."""
    found = clauses.find(agents.load(spelled, root).body)
    names = [clause.name for clause in found]
    unknown = sorted(set(wanted) - set(names))
    if unknown:
        raise InputError(f"--clause: found {unknown[0]!r}; {spelled} has: {', '.join(names)}")
    if not found:
        raise InputError(f"{spelled}: its prompt has no clause that could be left out: it is one paragraph")
    return [clause for clause in found if not wanted or clause.name in wanted]


def write(spelled: str, root: Path, chosen: list[Clause]) -> list[Path]:
    """Keep the prompts without each clause as variants, `agents/variants/NAME.without-CLAUSE.md`."""
    source = agents.read(spelled, root)
    name = source.revision().agent
    folder = root / "agents" / "variants"
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for clause in chosen:
        path = folder / f"{name}.without-{clause.name}.md"
        path.write_bytes(clauses.without(source, clause).data)
        paths.append(path)
    return paths


def ablate(request: Request, question: Question, chosen: list[Clause], *, tell: Tell, live: bool) -> list[Ablated]:
    """Run the whole prompt and each that lacks a clause, and compare; alpha is shared after Holm."""
    environments = Environments(cache=request.cache, tell=tell)
    source = agents.read(request.agent, request.root)
    whole = work_of(request.agent, request, environments)
    works = [whole] + [replace(whole, revision=clauses.without(source, clause).revision()) for clause in chosen]
    with Store(request.output) as store:
        plans = [plan_of(work, store, request.epochs, again=not request.resume) for work in works]
        trials = execute_together(plans, request, store, tell=tell, live=live)
    sides = [side_of(work, found) for work, found in zip(works, trials, strict=True)]
    pairings = [(side, pair(sides[0], side)) for side in sides[1:]]
    documents = compare.compare_each(sides[0], pairings, question)
    return [Ablated(clause=clause, document=found) for clause, found in zip(chosen, documents, strict=True)]
