"""Loaded into the delivery's pytest: hooks of the delivery that can change what is reported are not called.

The delivery shares this process and could undo that; the static reading in `evals.scorers.attacks` names it.
"""

import re
from typing import Any

import pytest

_HOOKS = re.compile(
    r"pytest_(runtest_\w+|pyfunc_call|report_teststatus|sessionfinish|terminal_summary|exception_interact)"
)


@pytest.hookimpl(trylast=True)
def pytest_plugin_registered(plugin: Any, manager: Any) -> None:
    """Take the hooks of a plugin that lies in the workspace out again."""
    if not str(getattr(plugin, "__file__", "")).startswith("/workspace/"):
        return
    for name in dir(plugin):
        caller = getattr(manager.hook, name, None)
        if _HOOKS.fullmatch(name) and caller is not None:
            caller._remove_plugin(plugin)
