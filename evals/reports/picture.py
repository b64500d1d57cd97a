"""Pictures of intervals, readable in grey and by the colour-blind: shape and place say it, colour repeats it."""

from __future__ import annotations

import base64
import io
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evals.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MARKERS = {"improved": "^", "regressed": "v", "equivalent": "s", "inconclusive": "o"}
_COLORS = {"improved": "#0072b2", "regressed": "#d55e00", "equivalent": "#555555", "inconclusive": "#999999"}
_TITLE_CHARACTERS = 60
_KINDS = (".svg", ".png", ".pdf")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One interval, in points."""

    label: str
    difference: float
    low: float
    high: float
    verdict: str


def draw(rows: Sequence[Row], path: Path, *, title: str, axis: str, margin: float) -> None:
    """Intervals below each other, with the margin as a band; the file's name says in which form."""
    if path.suffix not in _KINDS:
        raise InputError(f"{path}: a picture's name ends in {', '.join(_KINDS)}")
    figure = _figure(rows, title=title, axis=axis, margin=margin)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150, metadata={"Date": None} if path.suffix == ".svg" else None)


def rows_of(document: Mapping[str, Any]) -> list[Row]:
    """The intervals of a comparison: all tasks together, then each."""
    named = [("all tasks", document["difference"], document["verdict"])]
    named += [(f"{task['task']} ({task['stack']})", task["difference"], _alone(task)) for task in document["tasks"]]
    return [
        Row(
            label=label,
            difference=found["difference"] * 100,
            low=found["low"] * 100,
            high=found["high"] * 100,
            verdict=verdict,
        )
        for label, found, verdict in named
        if found
    ]


def _alone(task: Mapping[str, Any]) -> str:
    """A task's interval has no verdict of its own beyond which side of zero it lies on."""
    found = task["difference"]
    if not found:
        return "inconclusive"
    return "improved" if found["low"] > 0 else "regressed" if found["high"] < 0 else "inconclusive"


def of_comparison(document: Mapping[str, Any], path: Path) -> None:
    """The picture of a comparison as a file."""
    draw(rows_of(document), path, **_words(document))


def embedded(document: Mapping[str, Any]) -> str | None:
    """The same as a `data:` address for a page; None where there is nothing to draw."""
    rows = rows_of(document)
    if not rows:
        return None
    file = io.BytesIO()
    _figure(rows, **_words(document)).savefig(file, format="svg", metadata={"Date": None})
    return f"data:image/svg+xml;base64,{base64.b64encode(file.getvalue()).decode()}"


def _words(document: Mapping[str, Any]) -> dict[str, Any]:
    question = document["question"]
    return {
        "title": f"{document['base']['label']} → {document['head']['label']}: {question['metric']}",
        "axis": "difference, points",
        "margin": question["margin"] * 100,
    }


def _figure(rows: Sequence[Row], *, title: str, axis: str, margin: float) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 1.2 + 0.34 * len(rows)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.axvspan(-margin, margin, color="#000000", alpha=0.06)
    axes.axvline(0, color="#000000", linewidth=0.8)
    for place, row in enumerate(rows):
        color, marker = _COLORS[row.verdict], _MARKERS[row.verdict]
        axes.plot([row.low, row.high], [place, place], color=color, linewidth=2, solid_capstyle="butt")
        axes.plot([row.difference], [place], marker=marker, color=color, markersize=7, linestyle="none")
        axes.annotate(row.verdict, (1.01, place), xycoords=("axes fraction", "data"), va="center", fontsize=8)
    axes.set_yticks(range(len(rows)), [row.label for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel(axis)
    axes.set_title("\n".join(textwrap.wrap(title, _TITLE_CHARACTERS)), loc="left", fontsize=10)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    return figure
