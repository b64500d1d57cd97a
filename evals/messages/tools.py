"""Which tools an agent gets: the API's own, and Claude Code's names for them in `tools` and `disallowedTools`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from evals.types import Revision, ToolAnswer

VERSION = 1
"""Of how the tools behave; part of what a trial is of."""

BASH = {"type": "bash_20250124", "name": "bash"}
EDITOR_NAME = "str_replace_based_edit_tool"
EDITOR = {"type": "text_editor_20250728", "name": EDITOR_NAME}

_PATH = {"type": "string", "description": "where to look; /workspace where it is left away"}
GLOB = {
    "name": "Glob",
    "description": "Lists the files whose paths match a pattern such as **/*.py, those changed last first.",
    "input_schema": {
        "type": "object",
        "properties": {"pattern": {"type": "string", "description": "the pattern"}, "path": _PATH},
        "required": ["pattern"],
    },
}
GREP = {
    "name": "Grep",
    "description": "Lists the lines of files that match a regular expression (Python's), as path:line:text.",
    "input_schema": {
        "type": "object",
        "properties": {
            "pattern": {"type": "string", "description": "the regular expression"},
            "path": _PATH,
            "glob": {"type": "string", "description": "only files whose names match, such as *.py"},
            "-i": {"type": "boolean", "description": "ignore case"},
        },
        "required": ["pattern"],
    },
}

_EDITOR_COMMANDS = {
    "Read": ("view",),
    "Write": ("create",),
    "Edit": ("str_replace", "insert"),
    "MultiEdit": ("str_replace", "insert"),
}
_OTHERS: dict[str, dict[str, Any]] = {"Bash": BASH, "Glob": GLOB, "Grep": GREP}
_ALL = ("Bash", "Read", "Write", "Edit")


@dataclass(frozen=True, kw_only=True)
class Offer:
    """The tools of an agent, as the API takes them; `commands` are those of the editor that it may use.

    `missing` are names in its front matter that nothing here stands for, `widened` those whose limits in parentheses
    are not kept.
    """

    definitions: tuple[dict[str, Any], ...]
    commands: tuple[str, ...]
    missing: tuple[str, ...]
    widened: tuple[str, ...]

    def refusal(self, name: str, arguments: Mapping[str, Any]) -> ToolAnswer | None:
        """Why a call is not made, or None."""
        if name not in {definition["name"] for definition in self.definitions}:
            return ToolAnswer(output=f"There is no tool {name!r}.", is_error=True)
        if name == EDITOR_NAME and arguments.get("command") not in self.commands:
            allowed = ", ".join(self.commands)
            return ToolAnswer(output=f"`command` has to be one of: {allowed}.", is_error=True)
        return None


def offer(revision: Revision) -> Offer:
    """What a revision's front matter asks for; all that there is where it does not say."""
    named = list(revision.tools) if revision.tools is not None else list(_ALL)
    if "*" in named:
        named = [*_ALL, *named]
    bare = [_bare(name) for name in named]
    refused = {name for name in revision.disallowed_tools if "(" not in name}
    wanted = [name for name in dict.fromkeys(bare) if name not in refused]
    commands = tuple(dict.fromkeys(c for name in wanted for c in _EDITOR_COMMANDS.get(name, ())))
    definitions = [_OTHERS[name] for name in _OTHERS if name in wanted]
    if commands:
        definitions.append(EDITOR)
    return Offer(
        definitions=tuple(definitions),
        commands=commands,
        missing=tuple(name for name in wanted if name not in _OTHERS and name not in _EDITOR_COMMANDS and name != "*"),
        widened=tuple(name for name in (*named, *revision.disallowed_tools) if "(" in name),
    )


def _bare(name: str) -> str:
    """`Bash(git:*)` is Bash."""
    return name.partition("(")[0].strip()
