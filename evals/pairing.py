"""Which trials of two revisions may be set side by side, and what keeps others apart."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from evals.errors import InputError
from evals.store import Trial

Settings = tuple[str, str, str | None, str | None]
"""Solver, kind, model, and the digest of the solver's other options."""

Place = tuple[str, str]
"""Task and stack."""

_PARTS = ("task", "stack", "graders")


@dataclass(frozen=True, kw_only=True)
class Side:
    """One revision's trials. `label` is how the user named it."""

    label: str
    agent: str
    revision: str
    trials: tuple[Trial, ...]


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One task on one stack: the trials of both revisions, graded alike. Faults are among them."""

    task: str
    stack: str
    base: tuple[Trial, ...]
    head: tuple[Trial, ...]


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which trials are meant, where a revision has several sorts. None: any."""

    solver: str | None = None
    kind: str | None = None
    model: str | None = None
    settings: str | None = None

    def fits(self, found: Settings) -> bool:
        """Whether these are meant."""
        pairs = zip((self.solver, self.kind, self.model, self.settings), found, strict=True)
        return all(wanted in (None, value) for wanted, value in pairs)


ANY = Wanted()


@dataclass(frozen=True, kw_only=True)
class Pairing:
    """What is compared. `missing` names tasks that only one revision has trials of, with that revision's label."""

    settings: Settings
    pairs: tuple[Pair, ...]
    missing: tuple[tuple[Place, str], ...]
    evals_version: str

    @property
    def trials(self) -> list[Trial]:
        """All trials of both revisions, task by task."""
        return [trial for pair in self.pairs for trial in (*pair.base, *pair.head)]


def pair(base: Side, head: Side, wanted: Wanted = ANY) -> Pairing:
    """Set two revisions' trials side by side; `InputError` says what must not be mixed, and how to mend it."""
    settings = _common_settings(base, head, wanted)
    sides = [_by_place(side, settings) for side in (base, head)]
    shared = [place for place in sides[0] if place in sides[1]]
    if not shared:
        raise InputError(f"{base.label} and {head.label} have trials of no task in common")
    problems: list[str] = []
    pairs = []
    for place in shared:
        try:
            pairs.append(_graded_alike(place, sides[0][place], sides[1][place], base, head))
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(*problems)
    version = _one_version(pairs)
    missing = [(place, base.label) for place in sides[0] if place not in sides[1]]
    missing += [(place, head.label) for place in sides[1] if place not in sides[0]]
    return Pairing(settings=settings, pairs=tuple(pairs), missing=tuple(missing), evals_version=version)


def _settings(trial: Trial) -> Settings:
    return trial.key.solver, trial.key.kind, trial.key.model, trial.key.settings


def _shown(settings: Iterable[Settings]) -> str:
    rows = sorted({"/".join(part for part in found if part) for found in settings})
    return " and ".join(rows) or "none"


def _common_settings(base: Side, head: Side, wanted: Wanted) -> Settings:
    def fitting(side: Side) -> set[Settings]:
        return {found for found in map(_settings, side.trials) if wanted.fits(found)}

    of_base, of_head = fitting(base), fitting(head)
    common = of_base & of_head
    if not common:
        raise InputError(
            f"{base.label} has trials by {_shown(of_base)}, {head.label} by {_shown(of_head)}: other solvers, kinds, "
            "models or settings must not be mixed in one comparison"
        )
    if len(common) > 1:
        raise InputError(f"both have trials by {_shown(common)}: choose with --solver, --kind, --model or --settings")
    return next(iter(common))


def _by_place(side: Side, settings: Settings) -> dict[Place, list[Trial]]:
    found: dict[Place, list[Trial]] = {}
    for trial in side.trials:
        if _settings(trial) == settings:
            found.setdefault((trial.key.task, trial.key.stack), []).append(trial)
    return dict(sorted(found.items()))


def _grading(trial: Trial) -> str:
    return str(trial.document["digests"]["grading"])


def _graded_alike(place: Place, base: list[Trial], head: list[Trial], base_side: Side, head_side: Side) -> Pair:
    common = {_grading(trial) for trial in base} & {_grading(trial) for trial in head}
    if not common:
        raise InputError(_difference(place, base, head, base_side, head_side))
    newest = max(
        (trial for trial in (*base, *head) if _grading(trial) in common), key=lambda t: str(t.document["finished_at"])
    )
    grading = _grading(newest)
    return Pair(task=place[0], stack=place[1], base=_latest(base, grading), head=_latest(head, grading))


def _difference(place: Place, base: list[Trial], head: list[Trial], base_side: Side, head_side: Side) -> str:
    last = [max(trials, key=lambda t: str(t.document["finished_at"])) for trials in (base, head)]
    digests = [trial.document["digests"] for trial in last]
    parts = [part for part in _PARTS if digests[0][part] != digests[1][part]]
    shown = ", ".join(f"{part} {digests[0][part][:12]} and {digests[1][part][:12]}" for part in parts)
    return (
        f"{place[0]} on {place[1]}: {base_side.label} and {head_side.label} were not graded alike ({shown}); "
        "grade them alike with `evals rescore`, or run them again"
    )


def _latest(trials: list[Trial], grading: str) -> tuple[Trial, ...]:
    """For each epoch, the newest scored attempt under a grading, or else its newest fault."""
    found: dict[int, Trial] = {}
    for trial in sorted(trials, key=lambda t: int(t.document["attempt"])):
        if _grading(trial) != grading:
            continue
        earlier = found.get(trial.key.epoch)
        if earlier is None or trial.fault is None or earlier.fault is not None:
            found[trial.key.epoch] = trial
    return tuple(found[epoch] for epoch in sorted(found))


def _one_version(pairs: list[Pair]) -> str:
    versions = {str(t.document["evals_version"]) for p in pairs for t in (*p.base, *p.head)}
    if len(versions) > 1:
        raise InputError(f"trials of evals {' and '.join(sorted(versions))} must not be mixed; use `evals rescore`")
    return versions.pop()
