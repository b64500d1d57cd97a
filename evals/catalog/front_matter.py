r"""Agent files as Claude Code reads them: front matter that is often not valid YAML, and a body.

YAML first; where that fails, every `key: value` line whose plain value holds something special to
YAML is quoted, and YAML tried again; then a literal `\n` becomes a line break.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from evals.errors import InputError

_FENCE = re.compile(r"\A---[ \t]*\n(?P<matter>.*?)(?:^|\n)---[ \t]*(?:\n|\Z)(?P<body>.*)\Z", re.DOTALL)
_LINE = re.compile(r"^(?P<key>[A-Za-z_][\w-]*):[ \t]+(?P<value>\S.*?)[ \t]*$")
_SPECIAL = re.compile(r"""[{}\[\]&*#?|<>=!%@`"'\\,-]|: |:$""")
_QUOTED = re.compile(r"""\A(?:"(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[|>][+-]?\d?)\Z""")


def decode(data: bytes) -> str:
    r"""Text of a file: a byte order mark dropped, line ends made `\n`, invalid UTF-8 replaced."""
    text = data.decode("utf-8-sig", "replace")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _quote(line: str) -> str:
    match = _LINE.match(line)
    if not match or _QUOTED.match(match["value"]) or not _SPECIAL.search(match["value"]):
        return line
    value = match["value"].replace("\\", "\\\\").replace('"', '\\"')
    return f'{match["key"]}: "{value}"'


def _parse(text: str, source: str) -> Any:
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        pass
    quoted = "\n".join(_quote(line) for line in text.split("\n"))
    try:
        return yaml.safe_load(quoted)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 2}" if mark is not None else "its front matter"
        raise InputError(
            f"{source}: {place}: {getattr(error, 'problem', None) or 'not readable as YAML'}; "
            "front matter is lines of `key: value`, with long values in quotes"
        ) from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{source}: its front matter cannot be read: {error}") from None


def _unescape(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\\n", "\n").strip()
    return value


def split(data: bytes, source: str) -> tuple[dict[str, Any], str]:
    """Front matter and body of an agent file; `InputError` says what is missing."""
    match = _FENCE.match(decode(data))
    if not match:
        raise InputError(
            f"{source}: has no front matter; an agent file begins with a line `---`, then `name:` and "
            "`description:`, then a line `---`, then the prompt"
        )
    matter = _parse(match["matter"], source)
    if not isinstance(matter, dict):
        raise InputError(f"{source}: front matter: found {type(matter).__name__}; wanted `key: value` lines")
    return {str(key): _unescape(value) for key, value in matter.items()}, match["body"].strip()
