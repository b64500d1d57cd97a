"""`evals ci evaluate`: what a pull request does to its prompts, on GitHub or wherever its variables are set.

Tasks and checks are those of the working tree, which should be the base branch; prompts are read from the head's
commit, as data. So nothing that a pull request changes decides its own verdict.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evals.commands import reporting, settling
from evals.commands.running import Request
from evals.commands.settling import Settling
from evals.errors import InputError
from evals.reports import comparison, markdown
from evals.reports.terminal import printable

Tell = Callable[[str], None]

_RANK = ("regressed", "inconclusive", "equivalent", "improved", "unchanged", "not-evaluated")
_MOST_NOTES = 20
_LEVELS = {"regressed": "error", "inconclusive": "warning"}


@dataclass(frozen=True, kw_only=True)
class Change:
    """Two commits, and the pull request that they belong to."""

    base: str
    head: str
    number: int | None


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """The verdict on each prompt that changed, the worst of them, and whether the gate passed."""

    documents: tuple[dict[str, Any], ...]
    notes: tuple[str, ...]
    verdict: str
    passed: bool
    cost_usd: float


def change_of(environ: Mapping[str, str]) -> Change:
    """What the event of a workflow is about; `InputError` where it is something else."""
    path = environ.get("GITHUB_EVENT_PATH", "")
    try:
        event = json.loads(Path(path).read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(f"GITHUB_EVENT_PATH: found {path!r}, which cannot be read as an event: {error}") from None
    pull = event.get("pull_request")
    if isinstance(pull, dict):
        return Change(base=pull["base"]["sha"], head=pull["head"]["sha"], number=int(pull["number"]))
    if event.get("before") and event.get("after"):
        return Change(base=event["before"], head=event["after"], number=None)
    raise InputError(f"{path}: is neither of a pull request nor of a push; name --base and --head")


def changed_agents(change: Change, root: Path) -> list[str]:
    """The agents whose files differ between two commits, as `NAME` or `NAME:VARIANT`; those that are gone are not."""
    commits = f"{change.base}...{change.head}"
    if commits.startswith("-"):
        raise InputError(f"--base: found {change.base!r}, which is no commit")
    command = ["git", "-C", str(root), "diff", "--name-only", "--diff-filter=AM", "-z", commits, "--", "agents"]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode != 0:
        reason = done.stderr.decode("utf-8", "replace").strip()
        raise InputError(f"git cannot compare {change.base} with {change.head} in {root}: {reason}")
    paths = [Path(name) for name in done.stdout.decode("utf-8", "replace").split("\0") if name.endswith(".md")]
    found = [_spelled(path) for path in paths]
    return sorted({name for name in found if name})


def _spelled(path: Path) -> str | None:
    if path.parent == Path("agents"):
        return path.stem
    name, _, variant = path.stem.partition(".")
    return f"{name}:{variant}" if path.parent == Path("agents/variants") and variant else None


def evaluate(
    change: Change, names: Sequence[str], request: Request, asked: Settling, *, can_solve: bool, tell: Tell
) -> Evaluated:
    """Run and compare each agent; what cannot be compared is said, and is no verdict."""
    documents: list[dict[str, Any]] = []
    notes: list[str] = []
    cost = 0.0
    for name in names:
        if not can_solve:
            notes.append(f"{name}: was not evaluated, since there is no key for a model here")
            continue
        left = None if asked.max_cost is None else max(0.0, asked.max_cost - cost)
        try:
            one = replace(request, agent=f"{name}@{change.head}")
            settled = settling.settle(
                one, replace(asked, base=f"{name}@{change.base}", max_cost=left), tell=tell, live=False
            )
        except InputError as error:
            notes.append(f"{name}: {error}")
            continue
        cost += sum(trial.cost_usd or 0.0 for trial in settled.trials)
        documents.append(_relabelled(settled.document, name))
    verdicts = [str(document["verdict"]) for document in documents]
    verdicts += ["not-evaluated"] if notes else []
    worst = min(verdicts or ["unchanged"], key=_RANK.index)
    passed = all(document["gate"]["passed"] for document in documents)
    return Evaluated(documents=tuple(documents), notes=tuple(notes), verdict=worst, passed=passed, cost_usd=cost)


def _relabelled(document: dict[str, Any], name: str) -> dict[str, Any]:
    """Sides named as readers of a pull request know them."""
    sides = {side: {**document[side], "label": f"{name} ({side})"} for side in ("base", "head")}
    return {**document, **sides}


def keep(found: Evaluated, change: Change, folder: Path, request: Request) -> None:
    """Write everything that an artifact holds: the comment, the pull request's number, a report for each prompt."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "comment.md").write_text(comment(found), "utf-8")
    about = {"schema_version": 1, "number": change.number, "head": change.head}
    (folder / "pull.json").write_text(json.dumps(about) + "\n")
    for document in found.documents:
        place = folder / document["base"]["label"].removesuffix(" (base)").replace(":", ".")
        place.mkdir(exist_ok=True)
        kept = place / "comparison.json"
        kept.write_text(json.dumps([document], indent=1) + "\n")
        formats = ("html", "json", "junit")
        reporting.report(
            reporting.Reporting(
                target=str(kept), formats=formats, folder=place, output=request.output, root=request.root
            )
        )


def comment(found: Evaluated) -> str:
    """The comment of a pull request."""
    lines = [f"- {markdown.plain(note[:500])}" for note in found.notes[:_MOST_NOTES]]
    if found.documents:
        text = markdown.comment(list(found.documents)).rstrip("\n")
        return "\n".join([text, *(["", *lines] if lines else [])]) + "\n"
    if lines:
        return "\n".join([markdown.MARKER, "### ⚪ No verdict", "", *lines]) + "\n"
    return f"{markdown.MARKER}\n### ⚪ No prompt has changed\n"


def outputs(found: Evaluated, folder: Path) -> dict[str, str]:
    """What later steps of a workflow can use."""
    first = found.documents[0]["difference"] if found.documents else None
    return {
        "verdict": found.verdict,
        "difference": "" if first is None else f"{first['difference']:.6f}",
        "cost": f"{found.cost_usd:.4f}",
        "report": str(folder),
    }


def marks(found: Evaluated) -> list[str]:
    """Lines that GitHub shows at the prompt's file."""
    lines = []
    for document in found.documents:
        name, _, variant = document["base"]["label"].removesuffix(" (base)").partition(":")
        path = f"agents/variants/{name}.{variant}.md" if variant else f"agents/{name}.md"
        level = _LEVELS.get(document["verdict"], "notice")
        lines.append(f"::{level} file={path}::{_escaped(comparison.headline(document))}")
    return lines + [f"::notice::{_escaped(note)}" for note in found.notes]


def _escaped(text: str) -> str:
    return printable(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
