"""Rules of the code base that a reader relies on."""

import ast
import json
import re
from dataclasses import fields
from importlib import resources
from pathlib import Path

import pytest

from evals import plugins
from evals.store import Key
from tests.project import ROOT, Evals

COMMANDS = "run|list|show|rescore|validate|compare|plan|ablate|record|report|view|init|doctor|export|grade"
SOURCES = sorted((ROOT / "evals").rglob("*.py"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_stay_short(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 350
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            assert node.end_lineno is not None
            length = node.end_lineno - node.lineno + 1
            assert length <= 40, f"{node.name} has {length} lines"


def test_plugins_are_found_by_their_files() -> None:
    assert plugins.names("solvers") == ["claude-code", "live", "nop", "oracle", "recorded", "single-shot"]
    usual = ["acceptance", "attacks", "deliverables", "lint", "own_tests", "types"]
    assert plugins.names("scorers") == sorted([*usual, "efficiency", "maintainability", "test_strength"])
    assert plugins.names("stacks") == ["python-fastapi"]
    assert plugins.names("sandboxes") == ["bubblewrap", "docker"]


def test_the_trial_schema_has_the_keys_fields() -> None:
    schema = json.loads(resources.files("evals.schemas").joinpath("trial.schema.json").read_text())
    assert set(schema["properties"]["key"]["properties"]) == {field.name for field in fields(Key)}


def test_the_task_schema_weighs_what_the_scorers_give() -> None:
    schema = json.loads(resources.files("evals.schemas").joinpath("task.schema.json").read_text())
    weights = schema["properties"]["metadata"]["properties"]["evals"]["properties"]["weights"]["required"]
    from evals import graders
    from evals.environments import Environments

    given = graders.scores(graders.load(Environments(cache=Path("unused")), Path("unused")))
    assert set(weights) == given


def test_every_option_that_the_documents_name_exists(evals: Evals) -> None:
    texts = [path.read_text() for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md"))]
    lines = [
        line
        for text in texts
        for line in re.findall(
            r"\bevals ((?:run|list|show|rescore|validate|compare|plan|ablate|record|report|view)[^`\n|]*)", text
        )
    ]
    assert lines
    for line in lines:
        command = line.split()[0]
        offered = evals(command, "--help").stdout
        for option in re.findall(r"--[a-z][a-z-]+", line):
            assert option in offered, f"evals {line}"
