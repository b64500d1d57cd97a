import hashlib
import shutil
from pathlib import Path

import pytest

from evals import digests
from evals.catalog import recordings, tasks
from evals.environments import Environments
from evals.errors import InputError
from evals.plugins import factory
from tests.project import ROOT, Evals

TASKS = ("csv-import-jobs", "jwt-auth", "registration-endpoint")


@pytest.mark.parametrize("name", TASKS)
def test_the_shipped_tasks_load(name: str) -> None:
    task = tasks.load(name, ROOT)
    dimensions = {check.dimension for check in task.checks}
    assert {"contract", "validation", "concurrency", "durability", "faults", "configuration"} <= dimensions
    assert len(task.checks) >= 40


@pytest.mark.parametrize("name", TASKS)
def test_an_environment_offers_what_the_stack_installs(name: str, tmp_path: Path) -> None:
    stack = factory("stacks", "python-fastapi")(Environments(cache=tmp_path))
    starting = stack.starting_files()["requirements.txt"]
    assert (ROOT / "fixtures" / "tasks" / name / "environment" / "requirements.txt").read_bytes() == starting
    pinned = {line.lower().replace("_", "-") for line in starting.decode().splitlines()}
    locked = {line.split(" ")[0].lower().replace("_", "-") for line in stack.lock.splitlines() if "==" in line}
    assert pinned == locked


def test_recordings_match_the_prompts_and_instructions_that_they_name() -> None:
    stack = factory("stacks", "python-fastapi")(Environments(cache=Path("unused")))
    found = recordings.load_all(ROOT)
    assert len(found) == 13
    for recording in found:
        assert recording.files()
        if recording.task in TASKS:
            text = f"{tasks.load(recording.task, ROOT).instruction}\n{stack.page}"
            assert recording.instruction_digest == hashlib.sha256(text.encode()).hexdigest()


def broken(evals: Evals, name: str, old: str, new: str) -> str:
    path = evals.folder / "fixtures" / "tasks" / "echo" / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(InputError) as raised:
        tasks.load("echo", evals.folder)
    return str(raised.value)


@pytest.mark.parametrize(
    ("name", "old", "new", "says"),
    [
        ("task.toml", 'schema_version = "1.4"', 'schema_version = "9"', "schema_version: found"),
        ("task.toml", "lint = 0.05", "lint = 0.5", "sum of 1.45"),
        ("task.toml", "lint = 0.05", 'lint = "much"', "metadata.evals.weights.lint: found"),
        ("task.toml", "lint = 0.05\n", "", "metadata.evals.weights: found"),
        ("task.toml", '["python-fastapi"]', '["cobol"]', "metadata.evals.stacks[0]: found"),
        ("task.toml", '"separate"', '"shared"', "verifier.environment_mode: found"),
        ("task.toml", "check_sec = 20.0", "check_sec = -1", "metadata.evals.limits.check_sec: found -1"),
        ("task.toml", "[task]", "[task", "is not TOML"),
        ("tests/manifest.toml", '"contract"', '"beauty"', "checks[0].dimension: found"),
        ("tests/manifest.toml", '"test_echo"', '"test_gone"', "test_gone: no checks_*.py defines it"),
        ("tests/manifest.toml", '"test_echo"', '"test_gone"', "test_echo: is defined, but not listed"),
        ("tests/manifest.toml", '"test_echo"', '"test_survives_a_kill"', "is listed twice"),
        ("tests/manifest.toml", "survives a kill", "is lovely", "which instruction.md does not say"),
        ("tests/manifest.toml", "weight = 2.0", "weight = 0", "checks[1].weight: found 0"),
    ],
)
def test_a_broken_task_is_named_with_the_field(evals: Evals, name: str, old: str, new: str, says: str) -> None:
    message = broken(evals, name, old, new)
    assert says in message
    assert name in message


@pytest.mark.parametrize("name", ["task.toml", "instruction.md", "tests/manifest.toml"])
def test_a_missing_file_is_named(evals: Evals, name: str) -> None:
    (evals.folder / "fixtures" / "tasks" / "echo" / name).unlink()
    with pytest.raises(InputError) as raised:
        tasks.load("echo", evals.folder)
    assert "echo" in str(raised.value)


def test_the_faults_of_all_tasks_are_told_together(evals: Evals) -> None:
    folder = evals.folder / "fixtures" / "tasks"
    shutil.copytree(folder / "echo", folder / "echo2")
    for name in ("echo", "echo2"):
        path = folder / name / "task.toml"
        path.write_text(path.read_text().replace("lint = 0.05", "lint = 0.5"))
    done = evals("run", "--agent", "toy", "--solver", "nop", status=2)
    assert "echo/task.toml" in done.stderr
    assert "echo2/task.toml" in done.stderr


def test_digests_tell_what_is_solved_from_what_is_graded(evals: Evals) -> None:
    before = tasks.load("echo", evals.folder)
    path = evals.folder / "fixtures" / "tasks" / "echo" / "tests" / "checks_echo.py"
    path.write_text(path.read_text() + "\n")
    after = tasks.load("echo", evals.folder)
    assert after.solve_digest == before.solve_digest
    assert after.digest != before.digest


def test_a_solution_is_no_part_of_a_task_digest(evals: Evals) -> None:
    before = tasks.load("echo", evals.folder)
    shutil.rmtree(evals.folder / "fixtures" / "tasks" / "echo" / "solution")
    assert tasks.load("echo", evals.folder).digest == before.digest


def test_digests_do_not_depend_on_order() -> None:
    assert digests.of_files({"a": b"1", "b": b"2"}) == digests.of_files({"b": b"2", "a": b"1"})
