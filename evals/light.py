"""Trials that a run keeps in memory: of thousands, whole documents would fill it."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from evals.store import Trial


def light(trial: Trial) -> Trial:
    """A trial with what a summary needs of its document: no details but dimensions and the checks that failed.

    Of thousands, whole documents would fill the memory; `load_trial(trial.path)` reads one whole.
    """
    document = trial.document
    if isinstance(document, Packed):
        return trial
    kept = {name: document[name] for name in ("id", "composite", "attacks", "fault", "timings")}
    kept["scores"] = [
        {"name": s["name"], "value": s["value"], "details": _light_details(s["details"])} for s in document["scores"]
    ]
    kept["solution"] = document["solution"] and {"cost_usd": document["solution"]["cost_usd"]}
    return replace(trial, document=Packed(kept))


class Packed(Mapping[str, Any]):
    """A document as JSON, which takes a tenth of the memory, decoded when it is looked into."""

    __slots__ = ("_data",)

    def __init__(self, document: dict[str, Any]) -> None:
        self._data = zlib.compress(json.dumps(document).encode(), 1)

    def _document(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(zlib.decompress(self._data))
        return found

    def __getitem__(self, name: str) -> Any:
        return self._document()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._document())

    def __len__(self) -> int:
        return len(self._document())


def _light_details(details: dict[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {name: details[name] for name in ("dimensions", "passed", "total") if name in details}
    if "checks" in details:
        kept["checks"] = [{"id": c["id"], "outcome": c["outcome"]} for c in details["checks"] if _failed(c)]
    return kept


def _failed(check: dict[str, Any]) -> bool:
    return bool(check["outcome"] != "passed")
