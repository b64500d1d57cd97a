"""`evals grade`: a folder is graded as a delivery; and the same under Harbor, where that is at hand."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from evals.sandboxes import job
from tests.project import ROOT, SOLUTION, Evals

HARBOR = os.environ.get("EVALS_HARBOR_PYTHON", "")
TASKS = sorted((ROOT / "fixtures" / "tasks").glob("*/task.toml"))


def test_a_folder_is_graded_and_nothing_is_kept(evals: Evals) -> None:
    good = json.loads(evals("grade", "echo", str(SOLUTION), "--json").stdout)
    assert good["composite"] == pytest.approx(1)
    assert {score["name"] for score in good["scores"]} >= {"acceptance", "own_tests", "coverage", "lint", "types"}
    mine = evals.folder / "mine"
    shutil.copytree(SOLUTION, mine)
    (mine / "app" / "main.py").write_text((mine / "app" / "main.py").read_text().replace("422", "418"))
    told = evals("grade", "echo", "mine", "--reward", "reward.json").stdout
    assert "2 of 3 checks passed" in told
    assert "failed  test_" in told
    rewards = json.loads((evals.folder / "reward.json").read_text())
    assert rewards["reward"] == rewards["acceptance"] == pytest.approx(0.5)
    assert not evals.output.exists()


@pytest.mark.slow
def test_a_folder_is_graded_as_a_trial_of_the_same_files_is(evals: Evals) -> None:
    run = json.loads(evals("run", "--agent", "toy", "--solver", "oracle", "--json").stdout)["tasks"][0]
    found = json.loads(evals("grade", "echo", str(SOLUTION), "--json").stdout)
    assert {s["name"]: s["value"] for s in found["scores"] if s["name"] in run["scores"]} == run["scores"]


def test_what_cannot_be_graded_is_told(evals: Evals) -> None:
    assert "is no folder" in evals("grade", "echo", "nowhere", status=2).stderr
    assert "there is no task 'other'" in evals("grade", "other", str(SOLUTION), status=2).stderr
    assert "no task here offers it" in evals("grade", "echo", str(SOLUTION), "--stack", "x", status=2).stderr


@pytest.mark.slow
def test_every_task_has_a_script_for_harbor_that_grades(evals: Evals, tmp_path: Path) -> None:
    for path in TASKS:
        script = path.parent / "tests" / "test.sh"
        assert os.access(script, os.X_OK)
        assert f"evals grade {path.parent.name} " in script.read_text()
    evals("new", "task", "mine")
    program = tmp_path / "bin" / "evals"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nexec " + " ".join(f"'{part}'" for part in evals.command()) + ' "$@"\n')
    program.chmod(0o755)
    task = evals.folder / "fixtures" / "tasks" / "mine"
    env = evals.environment(
        PATH=f"{program.parent}:/usr/bin:/bin",
        WORKSPACE=str(task / "solution" / "python-fastapi"),
        EVALS_ROOT=str(evals.folder),
        REWARD=str(tmp_path / "reward.json"),
    )
    subprocess.run(["sh", str(task / "tests" / "test.sh")], env=env, check=True, timeout=300, capture_output=True)
    assert json.loads((tmp_path / "reward.json").read_text())["reward"] == 1


@pytest.mark.skipif(not HARBOR, reason="EVALS_HARBOR_PYTHON names no Python 3.12 with Harbor")
def test_the_tasks_are_clean_under_harbor_lint() -> None:
    harbor = Path(HARBOR).parent / "harbor"
    for path in TASKS:
        done = subprocess.run([harbor, "lint", path.parent], capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(not HARBOR, reason="EVALS_HARBOR_PYTHON names no Python 3.12 with Harbor")
@pytest.mark.parametrize(("agent", "reward"), [("oracle", 1.0), ("nop", 0.0)])
def test_harbor_gives_the_same_grade_without_a_container(
    evals: Evals, tmp_path: Path, agent: str, reward: float
) -> None:
    evals("new", "task", "mine")
    program = tmp_path / "evals"
    program.write_text("#!/bin/sh\nexec " + " ".join(f"'{part}'" for part in evals.command()) + ' "$@"\n')
    program.chmod(0o755)
    env = evals.environment(EVALS_PROGRAM=str(program), EVALS_BWRAP=str(job.find_bwrap()))
    place = "evals.interop.harbor"
    command: list[str | Path] = [
        Path(HARBOR).parent / "harbor",
        "run",
        "-p",
        evals.folder / "fixtures/tasks/mine",
        "-a",
        agent,
        "-y",
    ]
    command += ["--artifact", "/workspace", "-e", f"{place}:BubblewrapEnvironment"]
    command += ["--verifier", f"{place}:EvalsVerifier", "-o", tmp_path / "jobs"]
    subprocess.run(command, env=env, check=True, timeout=600, capture_output=True)
    results = [json.loads(path.read_text()) for path in (tmp_path / "jobs").glob("*/mine__*/result.json")]
    assert [result["verifier_result"]["rewards"]["reward"] for result in results] == [reward]
