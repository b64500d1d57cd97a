"""The tools' process, in the agent's own jail: reads calls, a JSON object a line, and answers each with one.

Whatever the agent runs can reach it, and end it or speak in its place. That gains nothing: its answers go to the
agent, and to nobody else.
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from evals.workbench import editor, finding, running, shell
from evals.workbench.answers import ToolError

Tool = Callable[[Mapping[str, Any], float], str]

PLAIN = {"exec": running.execute, "read": running.read, "write": running.write}
"""Calls of other harnesses, which answer with JSON."""


def _plain(call: Callable[[Mapping[str, Any], float], dict[str, Any]]) -> Tool:
    return lambda arguments, seconds: json.dumps(running.answered(call, arguments, seconds))


def _bash(current: shell.Shell) -> Tool:
    def call(arguments: Mapping[str, Any], seconds: float) -> str:
        if arguments.get("restart"):
            return current.restart()
        return current.run(editor.text_of(arguments, "command"), seconds)

    return call


def answer(tools: Mapping[str, Tool], call: Mapping[str, Any]) -> dict[str, Any]:
    """What a call gives; a tool that breaks tells why, and goes on."""
    try:
        return {"output": tools[call["tool"]](call["input"], call["seconds"]), "is_error": False}
    except ToolError as error:
        return {"output": str(error).strip(), "is_error": True}
    except Exception:  # noqa: BLE001 - the model is told, whatever it is
        return {"output": f"The tool failed:\n{traceback.format_exc(limit=-3)}", "is_error": True}


def main() -> None:
    """Serve until standard input ends."""
    current = shell.create()
    tools: dict[str, Tool] = {
        "bash": _bash(current),
        "str_replace_based_edit_tool": lambda arguments, _seconds: editor.edit(arguments),
        "Glob": lambda arguments, _seconds: finding.glob(arguments),
        "Grep": lambda arguments, _seconds: finding.grep(arguments),
        **{name: _plain(call) for name, call in PLAIN.items()},
    }
    for line in sys.stdin.buffer:
        print(json.dumps(answer(tools, json.loads(line))), flush=True)
