"""Expectations that say, when they are not met, what was expected and what came."""

from __future__ import annotations

import json
from typing import Any

import httpx

_SHOWN = 600
# Where an instruction fixes no shape of errors: what a status stands for may be told by another that fits as well.
_FITTING = {400: (400, 422), 413: (413, 400, 422)}


class Errors:
    """How much of an error an instruction fixes: its shape and code, or with `any_json` only that it is JSON."""

    any_json = False


class Unmet(AssertionError):
    """An expectation that was not met."""

    def __init__(self, expected: str, came: str) -> None:
        super().__init__(f"expected {expected}; came {came}")
        self.expected = expected
        self.came = came


def shown(response: httpx.Response) -> str:
    """A response in one line, cut where it is long."""
    text = response.text
    cut = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
    return f"{response.request.method} {response.request.url.raw_path.decode()} -> {response.status_code} {cut}"


def that(condition: object, expected: str, came: object) -> None:
    """`condition` holds."""
    if not condition:
        raise Unmet(expected, came if isinstance(came, str) else repr(came))


def equal(came: object, expected: object, what: str) -> None:
    """`came` equals `expected`."""
    that(came == expected, f"{what} to be {expected!r}", f"{came!r}")


def status(response: httpx.Response, *allowed: int) -> httpx.Response:
    """The response has one of the given statuses."""
    that(response.status_code in allowed, f"status {' or '.join(map(str, allowed))}", shown(response))
    return response


def body(response: httpx.Response, *allowed: int) -> dict[str, Any]:
    """The response has one of the statuses, and its body is a JSON object."""
    status(response, *allowed)
    kind = response.headers.get("content-type", "")
    that("json" in kind, "a JSON content type", f"{kind!r}: {shown(response)}")
    try:
        value = response.json()
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise Unmet("a JSON body", shown(response)) from None
    if not isinstance(value, dict):
        raise Unmet("a JSON object", shown(response))
    return value


def error_shape(response: httpx.Response, *allowed: int) -> dict[str, Any]:
    """The response is an error of the tasks' common shape, with one of the statuses; its `error`.

    Where an instruction fixes no shape, any JSON object will do, and it is returned whole.
    """
    if Errors.any_json:
        return body(response, *(fitting for status in allowed for fitting in _FITTING.get(status, (status,))))
    value = body(response, *allowed).get("error")
    if not isinstance(value, dict):
        raise Unmet('a body {"error": {...}}', shown(response))
    for name in ("code", "message"):
        text = value.get(name)
        that(isinstance(text, str) and text.strip(), f"`{name}` to be a text", shown(response))
    return value


def error(response: httpx.Response, code_status: int, code: str) -> dict[str, Any]:
    """The response is an error of the tasks' common shape, with the given status and code (see `error_shape`)."""
    value = error_shape(response, code_status)
    if Errors.any_json:
        return value
    that(value["code"] == code, f"error code {code!r}", shown(response))
    return value


def no_leak(response: httpx.Response) -> None:
    """The response gives nothing away about the inside of the service."""
    signs = ("Traceback", "sqlalchemy", "sqlite3", 'File "/', "site-packages", "SELECT ", "INSERT ")
    found = [sign for sign in signs if sign.lower() in response.text.lower()]
    that(not found, "nothing about the inside of the service", f"{found} in {shown(response)}")
