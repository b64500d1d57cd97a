"""Measuring graders, on the small task: its defects are caught, and what falls short is said."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals import schema, workspace
from evals.catalog import mutants, tasks
from evals.errors import InputError
from evals.stats import proportions
from tests.conftest import Record
from tests.project import ROOT, Evals

Files = dict[str, bytes]
TASKS = ("csv-import-jobs", "jwt-auth", "registration-endpoint")


def file(evals: Evals, name: str) -> Path:
    return evals.folder / "fixtures" / "tasks" / "echo" / name


def test_a_grader_is_measured(evals: Evals, record: Record, solution: Files) -> None:
    record(solution)
    (path,) = evals.folder.glob("fixtures/recordings/*/*/*/*/recording.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"correct": True}))
    done = evals("validate", "--runs", "2", "--load", "1", "--jobs", "2", "--write", "cards", "--json", status=1)
    (card,) = json.loads(done.stdout)
    assert card["oracle"] == {"runs": 2, "load": 2, "passed": 2, "flakes": {}}
    assert card["nop"] == {"passed": []}
    assert [solution["failed"] for solution in card["solutions"]] == [[]]
    assert card["mutants"]["overall"]["killed"] == 2
    assert card["mutants"]["by_dimension"]["validation"]["rate"] == 1
    assert [row["killed_by"] for row in card["mutants"]["each"]] == [
        ["test_secret_is_refused"],
        ["test_echo"],
    ]
    assert card["idle_checks"] == ["test_survives_a_kill"]
    assert "test_survives_a_kill kills no mutant and does not say why it is kept" in done.stderr
    assert (
        "| secret-taken | validation |  | test_secret_is_refused |" in (evals.folder / "cards" / "echo.md").read_text()
    )


@pytest.mark.slow
def test_a_grader_that_falls_short_is_named(evals: Evals, record: Record, solution: Files) -> None:
    checks = file(evals, "tests/checks_echo.py")
    checks.write_text(checks.read_text().replace("422)", "200, 422)").replace('{"text": word}', "{}"))
    record(solution)
    (path,) = evals.folder.glob("fixtures/recordings/*/*/*/*/recording.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"correct": True}))
    done = evals("validate", "echo", status=1)
    assert "echo: the reference failed in 1 of 1 runs" in done.stderr
    assert "toy/main/echo/agent-1, a correct solution, fails test_echo" in done.stderr
    assert "%" in done.stdout


@pytest.mark.slow
def test_a_part_can_be_measured_anew(evals: Evals, solution: Files) -> None:
    assert "need --write DIR with a card of echo" in evals("validate", "--part", "nop", status=2).stderr
    assert "there are: oracle, nop" in evals("validate", "--part", "all", status=2).stderr
    evals("validate", "--write", "cards", status=1)
    other = evals.folder / "fixtures" / "tasks" / "echo" / "solutions" / "python-fastapi" / "other"
    for path, data in solution.items():
        (other / path).parent.mkdir(parents=True, exist_ok=True)
        (other / path).write_bytes(data.replace(b'"secret"', b'"nothing"'))
    done = evals("validate", "--part", "solutions", "--write", "cards", "--json", status=1)
    (card,) = json.loads(done.stdout)
    assert card["solutions"] == [{"name": "other", "failed": ["test_secret_is_refused"]}]
    assert card["mutants"]["overall"]["killed"] == 2
    assert "other, a correct solution, fails test_secret_is_refused" in done.stderr
    mutants_file = file(evals, "mutants/mutants.toml")
    mutants_file.write_text(mutants_file.read_text().replace('== "other"', '!= "secret"'))
    assert "has no nothing" in evals("validate", "--mutant", "nothing", "--write", "cards", status=2).stderr
    (card,) = json.loads(evals("validate", "--mutant", "secret-taken", "--write", "cards", "--json", status=1).stdout)
    assert [row["id"] for row in card["mutants"]["each"]] == ["secret-taken", "echo-in-capitals"]
    assert card["solutions"] == [{"name": "other", "failed": ["test_secret_is_refused"]}]
    checks = file(evals, "tests/checks_echo.py")
    checks.write_text(checks.read_text() + "\n")
    assert "is of another state of echo" in evals("validate", "--part", "nop", "--write", "cards", status=2).stderr


def test_why_a_check_is_kept_can_be_said(evals: Evals) -> None:
    manifest = file(evals, "tests/manifest.toml")
    manifest.write_text(manifest.read_text() + 'kept_because = "no defect of the reference is worth seeding"\n')
    done = evals("validate", "echo")
    assert "100%" in done.stdout


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('text == "secret"', "nowhere", "it must stand there once"),
        ("The word `secret` is refused", "The word is lovely", "which is neither said nor expected"),
        ('"validation"', '"beauty"', "mutants[0].dimension: found"),
        ('"echo-in-capitals"', '"secret-taken"', "is listed twice"),
        ("[[mutants]]", "[[mutants", "is not TOML"),
    ],
)
def test_a_broken_mutant_is_named(evals: Evals, old: str, new: str, says: str) -> None:
    path = file(evals, "mutants/mutants.toml")
    path.write_text(path.read_text().replace(old, new, 1))
    assert says in evals("validate", "echo", status=2).stderr


@pytest.mark.parametrize("name", TASKS)
def test_every_mutant_of_a_shipped_task_fits_its_reference(name: str) -> None:
    task = tasks.load(name, ROOT)
    found = mutants.load(task)
    reference = workspace.collect(task.path / "solution" / "python-fastapi").files
    assert len(found) >= 25
    assert sum(mutant.subtle for mutant in found) >= len(found) / 3
    for mutant in found:
        changed = mutant.apply(reference)
        assert changed != reference
        for path, data in changed.items():
            if path.endswith(".py"):
                compile(data, path, "exec")


def test_published_cards_are_whole() -> None:
    cards = list((ROOT / "docs" / "graders").glob("*.json"))
    assert cards
    for path in cards:
        document = schema.load_json(path.read_bytes(), "card", str(path))
        assert document["task"] == path.stem
        assert path.with_suffix(".md").is_file()


def test_a_mutant_that_fits_twice_is_refused() -> None:
    edit = mutants.Edit(file="a", old="x", new="y")
    mutant = mutants.Mutant(id="m", dimension="contract", breaks=("s",), subtle=False, edits=(edit,))
    assert mutant.apply({"a": b"x"}) == {"a": b"y"}
    for text in (b"", b"xx"):
        with pytest.raises(InputError, match="must stand there once"):
            mutant.apply({"a": text})


@pytest.mark.parametrize(
    ("successes", "total", "low", "high"),
    # Newcombe (1998), Statistics in Medicine 17, 857-872, table I, method 3.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_intervals_are_those_of_the_textbook(successes: int, total: int, low: float, high: float) -> None:
    assert list(proportions.wilson(successes, total)) == pytest.approx([low, high], abs=5e-5)


@given(st.integers(0, 500), st.integers(0, 500))
def test_wilson_intervals_hold_the_share_and_mirror(successes: int, failures: int) -> None:
    total = successes + failures
    low, high = proportions.wilson(successes, total)
    assert 0 <= low < high <= 1
    if total:
        assert low <= successes / total <= high
    assert list(proportions.wilson(failures, total)) == pytest.approx([1 - high, 1 - low])
