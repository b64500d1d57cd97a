"""Setting up a repository of one's own: init, new, doctor, and defaults from a file."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.project import ROOT, Evals


@pytest.fixture
def empty(tmp_path: Path) -> Evals:
    """A folder with nothing in it."""
    folder = tmp_path / "mine"
    folder.mkdir()
    return Evals(folder)


def test_a_new_repository_works_at_once_and_nothing_is_overwritten(empty: Evals) -> None:
    (empty.folder / ".gitignore").write_text("*.pyc\n")
    done = empty("init", "--agent", "mine")
    assert "made  agents/mine.md" in done.stdout
    result = json.loads(empty("run", "--agent", "mine", "--solver", "oracle", "--json").stdout)
    assert result["tasks"][0]["composite"] == pytest.approx(1)
    assert json.loads(empty("run", "--agent", "mine", "--solver", "nop", "--json").stdout)["tasks"][0]["composite"] == 0
    assert (empty.folder / ".gitignore").read_text() == "*.pyc\n/reports/\n/evals-report/\n"
    (empty.folder / "agents" / "mine.md").write_text("---\nname: mine\ndescription: d\n---\nEdited.\n")
    again = empty("init", "--agent", "mine")
    assert "made" not in again.stdout
    assert "Edited." in (empty.folder / "agents" / "mine.md").read_text()


def test_new_agents_variants_and_tasks_are_whole(empty: Evals) -> None:
    empty("init", "--agent", "mine")
    empty("new", "agent", "other")
    empty("new", "agent", "mine:terse")
    listed = json.loads(empty("list", "agents", "--json").stdout)
    assert [row["agent"] for row in listed] == ["mine", "mine:terse", "other"]
    assert listed[0]["revision"] == listed[1]["revision"]
    empty("new", "task", "second")
    assert [row["task"] for row in json.loads(empty("list", "tasks", "--json").stdout)] == ["echo", "second"]
    assert 'name = "evals/second"' in (empty.folder / "fixtures/tasks/second/task.toml").read_text()
    assert "is there already" in empty("new", "task", "second", status=2).stderr
    assert "is there already" in empty("new", "agent", "other", status=2).stderr
    assert "is no name" in empty("new", "task", "../up", status=2).stderr
    assert "there is no agent 'nobody'" in empty("new", "agent", "nobody:terse", status=2).stderr


def test_the_workflows_are_those_of_the_documents(empty: Evals) -> None:
    empty("init")
    text = (ROOT / "docs" / "ci.md").read_text()
    blocks = re.findall(r"`(\.github/workflows/[a-z-]+\.yml)`:\n\n```yaml\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 2
    for name, body in blocks:
        assert (empty.folder / name).read_text() == body


def test_defaults_come_from_a_file_and_give_way_to_what_is_typed(evals: Evals) -> None:
    (evals.folder / "evals.toml").write_text('[run]\nsolver = "oracle"\nepochs = 3\nresume = false\ntask = ["echo"]\n')
    plan = json.loads(evals("run", "--agent", "toy", "--dry-run", "--json").stdout)
    assert len(plan["trials"]) == 3
    typed = evals("run", "-a", "toy", "--epochs", "2", "--solver=nop", "--dry-run", "--json")
    assert len(json.loads(typed.stdout)["trials"]) == 2
    assert typed.stderr.startswith("solver: nop")
    (evals.folder / "evals.toml").unlink()
    (evals.folder / "pyproject.toml").write_text('[tool.evals.run]\nsolver = "nop"\n')
    assert evals("run", "-a", "toy", "--dry-run").stderr.startswith("solver: nop")


BROKEN = [
    ("[run\n", "evals.toml: is not TOML"),
    ("[walk]\nepochs = 1\n", "evals.toml: walk: is no command; there are: compare"),
    ("[run]\nepoch = 1\n", "evals.toml: run.epoch: is no option; there are: against, agent"),
    ("run = 3\n", "evals.toml: run: found 3; wanted a table"),
    ("[ci.evaluate]\nmax-epochs = {a = 1}\n", "evals.toml: ci.evaluate.max-epochs: found {'a': 1}; wanted a text"),
    ('[run]\nepochs = "many"\n', "among the options are those from evals.toml: --epochs many"),
]


@pytest.mark.parametrize(("text", "words"), BROKEN)
def test_what_is_wrong_in_a_file_of_defaults_is_named(evals: Evals, text: str, words: str) -> None:
    (evals.folder / "evals.toml").write_text(text)
    done = evals("run", "--agent", "toy", "--solver", "nop", "--dry-run", status=2)
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_doctor_says_what_the_machine_can_do(evals: Evals, tmp_path: Path) -> None:
    found = {row["name"]: row for row in json.loads(evals("doctor", "--json").stdout)}
    assert found["sandbox"]["state"] == "ok"
    assert found["credential"]["state"] == "missing"
    assert "ANTHROPIC_API_KEY" in found["credential"]["remedy"]
    assert json.loads(evals("doctor", "--json", ANTHROPIC_API_KEY="x").stdout)[4]["state"] == "ok"
    blocked = tmp_path / "file"
    blocked.write_text("")
    refused = evals("doctor", status=2, EVALS_CACHE=str(blocked / "cache"))
    assert "broken   cache" in refused.stdout
    assert "EVALS_CACHE" in refused.stdout


@pytest.mark.slow
def test_an_installed_package_holds_everything(tmp_path: Path) -> None:
    import sys
    import venv

    venv.create(tmp_path / "venv", with_pip=True)
    pip = [str(tmp_path / "venv" / "bin" / "pip"), "install", "-q", "--no-deps", str(ROOT)]
    subprocess.run(pip, check=True, capture_output=True)
    site = next((tmp_path / "venv").glob("lib/python*/site-packages/evals"))
    here = {str(p.relative_to(ROOT / "evals")) for p in (ROOT / "evals").rglob("*") if p.is_file()}
    there = {str(p.relative_to(site)) for p in site.rglob("*") if p.is_file()}
    assert {name for name in here - there if "__pycache__" not in name} == set()
    assert sys.version_info >= (3, 11)
