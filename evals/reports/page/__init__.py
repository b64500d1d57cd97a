"""The static HTML report: one folder, no network, nothing from outside, everything that an agent wrote escaped.

    DIR/index.html              verdict, figures, checks by trials, prompts
    DIR/trials/ID.html          all of one trial: reasons, requests and answers, logs, files, transcript
    DIR/diffs/BASE-HEAD.html    two deliveries side by side

Pages have a content security policy that allows their own style and script by digest, and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import evals
from evals.reports.dossier import Dossier
from evals.reports.page import diffs, index, trial
from evals.store import Trial

if TYPE_CHECKING:
    from jinja2 import Environment

MOST_DIFFS = 60
"""Pairs of deliveries that are set side by side."""


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Where a report finds what is not in the trials' documents. Each gives None or nothing where it is not at hand."""

    files: Callable[[Trial], Mapping[str, bytes]]
    logs: Callable[[Trial], Mapping[str, str]]
    events: Callable[[Trial], list[dict[str, Any]]]
    prompt: Callable[[Trial], str | None]
    card: Callable[[str], str | None]


def _resource(name: str) -> str:
    return resources.files("evals.reports.page").joinpath(name).read_text("utf-8")


def _allowed(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FunctionLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FunctionLoader(lambda name: _resource(f"templates/{name}")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style, script = _resource("style.css"), _resource("script.js")
    # Ours, and from our own files: the only texts that are not escaped.
    environment.globals.update(
        style=Markup(style),  # noqa: S704
        script=Markup(script),  # noqa: S704
        policy=f"default-src 'none'; style-src {_allowed(style)}; script-src {_allowed(script)}; img-src data:; "
        "base-uri 'none'; form-action 'none'",
        version=evals.__version__,
    )
    return environment


def embedded(document: Any) -> Any:
    """JSON for a script element: no `<` in it can end the element, or begin another."""
    from markupsafe import Markup

    text = json.dumps(document, ensure_ascii=True, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))  # noqa: S704


def _write(path: Path, template: str, **values: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = _environment().get_template(template).render(**values)
    path.write_bytes(text.encode("utf-8", "replace"))


def write(dossier: Dossier, folder: Path, sources: Sources) -> Path:
    """Write the whole report below a folder; its first page."""
    pairs = diffs.pairs_of(dossier)
    shown = pairs[:MOST_DIFFS]
    for pair in shown:
        _write(folder / "diffs" / pair.file, "diff.html", **diffs.values(pair, sources.files))
    for each in {found.document["id"]: found for found in dossier.trials}.values():
        _write(folder / "trials" / f"{each.document['id']}.html", "trial.html", **trial.values(each, sources))
    page = folder / "index.html"
    document = dossier.document()
    values = index.values(dossier, document, prompt=sources.prompt, card=sources.card)
    links = [{"file": pair.file, "name": pair.name} for pair in shown]
    _write(
        page,
        "index.html",
        **values,
        diffs=links,
        diffs_left=len(pairs) - len(shown),
        data=embedded(index.matrix(document)),
    )
    return page
