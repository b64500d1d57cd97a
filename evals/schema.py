"""JSON Schema at the door: every fault of a document, named at its place."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from evals.errors import InputError

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import ValidationError

_SHOWN = 80


@cache
def _validator(name: str) -> Draft202012Validator:
    from jsonschema import Draft202012Validator

    text = resources.files("evals.schemas").joinpath(f"{name}.schema.json").read_text("utf-8")
    return Draft202012Validator(json.loads(text), format_checker=Draft202012Validator.FORMAT_CHECKER)


def _place(error: ValidationError) -> str:
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path)
    return path.lstrip(".") or "the document"


def _found(error: ValidationError) -> str:
    text = json.dumps(error.instance, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _wanted(error: ValidationError) -> str:
    schema = error.schema
    described = schema.get("description") if isinstance(schema, dict) else None
    return f"{error.message}" + (f" (wanted: {described})" if described else "")


def problems(document: Any, name: str, source: str) -> list[str]:
    """Every fault of `document` against the schema `name`, as lines that begin with `source`."""
    errors = sorted(_validator(name).iter_errors(document), key=lambda e: [str(p) for p in e.absolute_path])
    return [f"{source}: {_place(error)}: found {_found(error)}; {_wanted(error)}" for error in errors]


def check(document: Any, name: str, source: str) -> None:
    """Raise `InputError` with every fault of `document`."""
    found = problems(document, name, source)
    if found:
        raise InputError(*found)


def load_json(text: str | bytes, name: str, source: str) -> Any:
    """Decode and check a JSON document; `InputError` names the line of a syntax error."""
    try:
        document = json.loads(text)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{source}: is not JSON: {error}") from None
    check(document, name, source)
    return document
