"""Report cards of graders: as Markdown, and as a line for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evals.reports.markdown import table

Card = Mapping[str, Any]

HEAD = ("task", "checks", "kill rate", "subtle", "rejects", "oracle", "cheats held", "idle")


_LEGEND = """Kill rates are of all mutants and of the subtle ones, with 95% Wilson intervals. `rejects` are correct
solutions that a check fails; `oracle` is how often the reference passes everything; `cheats held` are
attacks on the grader that get no more than they honestly earn and are named; `idle` checks kill no mutant and do not
say why they are kept."""


def _rate(part: Mapping[str, Any]) -> str:
    if not part["total"]:
        return "-"
    low, high = part["interval"]
    return f"{part['killed']}/{part['total']} = {part['rate']:.0%} ({low:.0%} to {high:.0%})"


def line(card: Card) -> tuple[str, ...]:
    """One row of the summary."""
    rejected = [solution for solution in card["solutions"] if solution["failed"]]
    oracle = card["oracle"]
    return (
        card["task"],
        str(card["checks"]),
        _rate(card["mutants"]["overall"]),
        _rate(card["mutants"]["subtle"]),
        f"{len(rejected)} of {len(card['solutions'])}",
        f"{oracle['passed']} of {oracle['runs']}" + (f" under load {oracle['load']}" if oracle["load"] else ""),
        f"{sum(1 for cheat in card['cheats'] if _held(cheat))} of {len(card['cheats'])}",
        str(len(card["idle_checks"])),
    )


def _held(cheat: Mapping[str, Any]) -> bool:
    return bool(cheat["named"]) and not cheat["too_high"]


def markdown(card: Card) -> str:
    """The whole card. Kill rates stand with their 95% Wilson intervals."""
    lines = [f"# Grader of {card['task']}", "", f"Task version {card['version']}, digest `{card['digest'][:12]}`", ""]
    lines += table(HEAD, [line(card)])
    lines += ["", _LEGEND, "", "## Kill rate by dimension", ""]
    lines += table(("dimension", "killed"), [(n, _rate(p)) for n, p in card["mutants"]["by_dimension"].items()])
    lines += ["", "## Correct solutions", ""]
    lines += table(
        ("solution", "failed checks"),
        [(s["name"], ", ".join(s["failed"]) or "none") for s in card["solutions"]],
    )
    lines += ["", "## Mutants", ""]
    rows = [
        (m["id"], m["dimension"], "yes" if m["subtle"] else "", _killers(m["killed_by"]))
        for m in card["mutants"]["each"]
    ]
    lines += table(("mutant", "dimension", "subtle", "killed by"), rows)
    lines += ["", "## Checks that kill no mutant", ""]
    lines += [f"- {check}" for check in card["idle_checks"]]
    lines += [f"- {check}: kept, because {reason}" for check, reason in card["kept_checks"].items()]
    lines += [] if card["idle_checks"] or card["kept_checks"] else ["None."]
    lines += ["", "## Attacks on the grader", ""]
    lines += table(("cheat", "kind", "acceptance", "own tests", "named"), [_cheat(c) for c in card["cheats"]])
    if card["oracle"]["flakes"]:
        lines += ["", "## Flakes of the reference", ""]
        lines += [f"- {check}: {count} times" for check, count in card["oracle"]["flakes"].items()]
    stages = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in card["seconds"].items())
    return "\n".join([*lines, "", f"Time: {stages}.", ""])


def _cheat(cheat: Mapping[str, Any]) -> tuple[str, ...]:
    scores = [f"{cheat['scores'].get(name, 0):.0%}" for name in ("acceptance", "own_tests")]
    named = (cheat["named"] or "**not named**").replace("|", "\\|").replace("\n", " ")
    return cheat["name"], str(cheat["kind"]), *scores, named


def _killers(names: list[str]) -> str:
    if not names:
        return "**lives**"
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
