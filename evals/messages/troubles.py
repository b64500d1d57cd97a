"""What can go wrong with a call, by what is to be done about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Remedy = Literal["again", "stop", "too long", "give up"]
"""Try again; stop the whole run; the conversation is too long for the model; a fault of this trial."""

_BUSY = frozenset({429, 503, 529})
_BUSY_KINDS = frozenset({"rate_limit_error", "overloaded_error"})
_AGAIN_KINDS = _BUSY_KINDS | {"api_error", "timeout_error"}
_AGAIN = frozenset({408, 409, 425})
_STOP = frozenset({401, 402, 403, 404})
_TOO_LONG = ("prompt is too long", "context window", "context limit", "exceeds the maximum allowed number of bytes")


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """One failure. `busy` asks for fewer calls; `wait` is what the API asks for, in seconds."""

    remedy: Remedy
    reason: str
    busy: bool = False
    wait: float | None = None
    strange: bool = False


def sort(error: Exception) -> Trouble:
    """What is to be done about an error of the SDK, its transport, or of reading an answer."""
    import anthropic
    import httpx2

    if isinstance(error, anthropic.APIStatusError):
        return _of_status(error)
    if isinstance(error, (anthropic.CredentialsError, anthropic.WorkloadIdentityError)):
        return Trouble(remedy="stop", reason=f"the credential cannot be used: {error}")
    if isinstance(error, (anthropic.APIConnectionError, httpx2.TransportError, ConnectionError, TimeoutError)):
        return Trouble(remedy="again", reason=f"no answer: {_words(error)}")
    if isinstance(error, TypeError) and "authentication" in str(error):
        return Trouble(remedy="stop", reason="no credential was found: set ANTHROPIC_API_KEY")
    # Whatever else reading an answer raises: broken JSON, events out of order, fields of other types.
    return Trouble(remedy="again", reason=f"the answer cannot be read: {_words(error)}", strange=True)


def _words(error: BaseException) -> str:
    cause = error.__cause__ or error
    return f"{type(cause).__name__}: {cause}".strip().removesuffix(":")[:500]


def _of_status(error: Any) -> Trouble:
    """By status and kind: an error within a stream has the status 200."""
    kind, message = _detail(error.body, str(error.message))
    status = error.status_code
    reason = f"{status} {kind or ''}: {message}".replace(" :", ":")
    if (status in (400, 413) and any(text in message.lower() for text in _TOO_LONG)) or status == 413:
        return Trouble(remedy="too long", reason=reason)
    if status in _BUSY or kind in _BUSY_KINDS:
        return Trouble(remedy="again", reason=reason, busy=True, wait=_retry_after(error.response.headers))
    if status >= 500 or status in _AGAIN or kind in _AGAIN_KINDS:
        return Trouble(remedy="again", reason=reason, wait=_retry_after(error.response.headers))
    if status in _STOP or "credit balance" in message:
        return Trouble(remedy="stop", reason=reason)
    return Trouble(remedy="give up" if status >= 400 else "again", reason=reason, strange=status < 400)


def _detail(body: object, otherwise: str) -> tuple[str | None, str]:
    """Kind and message of an error object."""
    found = body.get("error", body) if isinstance(body, Mapping) else None
    if not isinstance(found, Mapping):
        return None, otherwise[:500]
    return str(found.get("type") or ""), str(found.get("message") or otherwise)[:500]


def _retry_after(headers: Mapping[str, str]) -> float | None:
    try:
        return max(0.0, float(headers.get("retry-after", "")))
    except ValueError:
        return None
