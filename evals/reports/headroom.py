"""What tasks and checks can still tell apart, as a table and as lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

Headroom = Mapping[str, Any]

HEAD = ("task", "trials", "revisions", "at the ceiling", "at the floor", "spread: epochs", "revisions", "dead checks")

_SHOWN = 8


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def line(found: Headroom) -> tuple[str, ...]:
    """One row of the table."""
    dead = [check for check in found["checks"] if check["passed"] in (0, 1)]
    return (
        found["task"],
        str(found["trials"]),
        str(found["revisions"]),
        f"{found['at_ceiling']:.0%}" + (" saturated" if found["saturated"] else ""),
        f"{found['at_floor']:.0%}",
        _number(found["spread_between_epochs"]),
        _number(found["spread_between_revisions"]),
        f"{len(dead)} of {len(found['checks'])}",
    )


def notes(tasks: Iterable[Headroom]) -> Iterator[str]:
    """What a reader should look into."""
    for found in tasks:
        if found["saturated"]:
            yield f"{found['task']}: saturated: an equivalence here says little; compare on other tasks or metrics"
        failed = [check["id"] for check in found["checks"] if check["passed"] == 0]
        if failed:
            yield f"{found['task']}: everybody fails {_names(failed)}"
        against = [check["id"] for check in found["checks"] if (check["item_rest"] or 0) < 0]
        if against:
            yield f"{found['task']}: better trials fail more often: {_names(against)}"


def _names(found: list[str]) -> str:
    return ", ".join(found[:_SHOWN]) + (f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else "")
