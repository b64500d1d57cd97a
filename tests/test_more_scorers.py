"""The scorers that are asked for, and a project's own: through the command line, on real deliveries."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from evals.scorers import efficiency, maintainability
from tests.conftest import Record
from tests.project import Evals

LOAD = '''
def load(service, data):
    """Calls that echo."""
    return [lambda n=n: service.http.get(f"/echo/{n}").status_code == 200 for n in range(120)]
'''

SLOW = b"""
import time
from fastapi import FastAPI, HTTPException

app = FastAPI()
HELD = ["x" * 30_000_000]

@app.get("/echo/{text}")
def echo(text):
    time.sleep(0.05)
    if text == "secret":
        raise HTTPException(422)
    return {"text": text}

@app.get("/healthz")
def health():
    return {"status": "ok"}
"""

WEAK_TEST = b"""
from app.main import app
from fastapi.testclient import TestClient

def test_it_answers() -> None:
    assert TestClient(app).get("/healthz").status_code == 200
"""

TANGLED = (
    b"def tangled(a, b):\n"
    + b"".join(b"    if a > %d and b < %d:\n        b += %d\n" % (n, n, n) for n in range(40))
    + b"    return b\n"
)
COPIED = b"".join(
    b"def copy_%d(values, most, least):\n    found = []\n    for value in values:\n        if value > least:\n"
    b"            if value < most:\n                found.append(value * 2 + least - most)\n            else:\n"
    b"                found.append(value - most + least * 3)\n        elif value == least:\n"
    b"            found.append(value + most)\n    total = sum(found) + len(found) * least - most\n"
    b"    return sorted(found, reverse=True), total\n\n" % n
    for n in range(4)
)


def scores(evals: Evals, *arguments: str) -> dict[str, float]:
    """The scores of the one task of a run."""
    done = evals("run", "--agent", "toy", "--json", *arguments)
    found: dict[str, float] = json.loads(done.stdout)["tasks"][0]["scores"]
    return found


def details(evals: Evals, name: str) -> dict[str, Any]:
    """A score's details in the newest trial."""
    newest = max(evals.trials(), key=lambda trial: str(trial["finished_at"]))
    found: dict[str, Any] = next(score for score in newest["scores"] if score["name"] == name)  # type: ignore[attr-defined]
    return {**found["details"], "reason": found["reason"]}


@pytest.mark.slow
def test_the_reference_is_as_efficient_as_itself_and_its_tests_notice_much(evals: Evals) -> None:
    folder = evals.folder / "fixtures" / "tasks" / "echo" / "load"
    folder.mkdir()
    (folder / "load.py").write_text(LOAD)
    found = scores(evals, "--solver", "oracle", "--scorers", "all")
    assert 0.3 < found["efficiency"] < 0.7
    assert found["test_strength"] > 0.5
    assert found["maintainability"] == pytest.approx(1)
    mutants = details(evals, "test_strength")["mutants"]
    assert {row["outcome"] for row in mutants} <= {"noticed", "missed", "uncovered"}
    assert {row["file"] for row in mutants} == {"app/main.py"}
    assert set(details(evals, "efficiency")["ratios"]) == {"throughput", "latency", "memory"}
    # What is there already is enough for a run that asks for less, and for one that asks for the same.
    assert "1 of 1 trials are in" in evals("run", "--agent", "toy", "--solver", "oracle").stderr
    assert "1 of 1 trials are in" in evals("run", "--agent", "toy", "--solver", "oracle", "--scorers", "all").stderr


@pytest.mark.slow
def test_a_slow_service_with_weak_tests_and_tangled_code_gets_less(
    evals: Evals, record: Record, solution: dict[str, bytes]
) -> None:
    folder = evals.folder / "fixtures" / "tasks" / "echo" / "load"
    folder.mkdir()
    (folder / "load.py").write_text(LOAD)
    poor = {**solution, "app/main.py": SLOW, "app/more.py": TANGLED + COPIED, "tests/test_echo.py": WEAK_TEST}
    record(poor)
    found = scores(evals, "--solver", "recorded", "--scorers", "all")
    assert found["efficiency"] < 0.4
    ratios = details(evals, "efficiency")["ratios"]
    assert ratios["throughput"] < 0.7
    assert ratios["memory"] < 0.9
    assert found["test_strength"] < 0.3
    assert "in lines that no test runs" in details(evals, "test_strength")["reason"]
    parts = details(evals, "maintainability")["parts"]
    assert parts["complexity"] < 0.8
    assert parts["duplication"] < 0.9
    assert parts["typing"] == 0


def test_a_score_that_is_asked_for_later_is_added_without_solving(evals: Evals) -> None:
    before = scores(evals, "--solver", "oracle")
    assert "maintainability" not in before
    dry = json.loads(
        evals(
            "run", "--agent", "toy", "--solver", "oracle", "--scorers", "maintainability", "--dry-run", "--json"
        ).stdout
    )
    assert [trial["state"] for trial in dry["trials"]] == ["regrade"]
    after = scores(evals, "--solver", "oracle", "--scorers", "maintainability")
    assert after == {**before, "maintainability": pytest.approx(1)}
    compared = evals("run", "--agent", "toy", "--solver", "oracle", "--scorers", "beauty", status=2)
    assert "found 'beauty'; there are, beside the usual ones: efficiency, maintainability" in compared.stderr


@pytest.mark.slow
def test_a_task_without_a_load_and_one_that_does_not_start_are_not_efficient(
    evals: Evals, record: Record, solution: dict[str, bytes]
) -> None:
    record({**solution, "app/main.py": b"raise SystemExit(1)\n"})
    assert scores(evals, "--solver", "recorded", "--scorers", "efficiency")["efficiency"] == 0
    assert details(evals, "efficiency")["reason"] == "the task has no load to measure with"
    folder = evals.folder / "fixtures" / "tasks" / "echo" / "load"
    folder.mkdir()
    (folder / "load.py").write_text(LOAD)
    assert scores(evals, "--solver", "recorded", "--scorers", "efficiency", "--no-resume")["efficiency"] == 0
    assert "the service to start and answer" in details(evals, "efficiency")["reason"]


@pytest.mark.slow
def test_a_project_has_scorers_of_its_own_that_can_be_compared_and_weighed(evals: Evals) -> None:
    assert evals("new", "scorer", "Doc-Strings").stdout.strip() == "fixtures/scorers/doc_strings.py"
    found = scores(evals, "--solver", "oracle")
    assert found["doc_strings"] == pytest.approx(1)
    assert "2 of 2 functions have a docstring" in details(evals, "doc_strings")["reason"]
    assert "doc strings" in evals("run", "--agent", "toy", "--solver", "oracle").stdout
    task = evals.folder / "fixtures" / "tasks" / "echo" / "task.toml"
    text = task.read_text()
    task.write_text(text.replace("acceptance = 0.6\n", "acceptance = 0.4\ndoc_strings = 0.2\n"))
    assert task.read_text() != text
    assert scores(evals, "--solver", "oracle")["doc_strings"] == pytest.approx(1)
    assert "is there already" in evals("new", "scorer", "doc_strings", status=2).stderr
    assert "is a scorer of evals already" in evals("new", "scorer", "lint", status=2).stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import nothing_of_this_name\n", "is no scorer: ModuleNotFoundError"),
        ("x = 1\n", "is no scorer: AttributeError"),
        (
            "class S:\n name='lint'\n gives=(name,)\n async def score(self, d, s): ...\ndef create(e): return S()\n",
            "found the score 'lint', which another scorer gives too",
        ),
    ],
)
def test_a_file_that_is_no_scorer_is_named(evals: Evals, text: str, words: str) -> None:
    path = evals.folder / "fixtures" / "scorers" / "mine.py"
    path.parent.mkdir()
    path.write_text(text)
    assert words in evals("run", "--agent", "toy", "--solver", "oracle", status=2).stderr


def test_a_weight_that_no_scorer_gives_is_named(evals: Evals) -> None:
    task = evals.folder / "fixtures" / "tasks" / "echo" / "task.toml"
    task.write_text(task.read_text().replace("acceptance = 0.6\n", "acceptance = 0.4\nbeauty = 0.2\n"))
    told = evals("run", "--agent", "toy", "--solver", "oracle", status=2).stderr
    assert "metadata.evals.weights: found 'beauty', which no scorer gives" in told


def test_what_mypy_knows_of_the_packages_is_kept(evals: Evals) -> None:
    scores(evals, "--solver", "oracle")
    cache = Path(os.environ.get("EVALS_CACHE", Path.home() / ".cache" / "evals"))
    kept = [path for folder in (cache / "mypy").glob("python-fastapi-*") for path in folder.rglob("*.db")]
    assert kept
    assert all(path.stat().st_size > 1_000_000 for path in kept)
    assert not list((cache / "mypy").glob(".new-*"))


def test_ratios_become_a_score_that_is_a_half_at_parity() -> None:
    one = efficiency.Figures(throughput=100, latency=0.1, memory=1e8)
    assert efficiency.to_score(one, [one, one]).value == pytest.approx(0.5)
    twice = efficiency.Figures(throughput=200, latency=0.05, memory=0.5e8)
    assert efficiency.to_score(twice, [one]).value == pytest.approx(2 / 3)


def test_functions_with_annotations_are_read_from_mypys_report() -> None:
    report = "    501     501     40     41 total\n     89      89      9      9 app.errors\n"
    assert maintainability.typed_functions(report) == (40, 41)
    assert maintainability.typed_functions("nothing") == (0, 0)


def test_the_tools_are_files_of_the_package() -> None:
    folder = Path(maintainability.__file__).parent / "data" / "tools"
    assert {path.name for path in folder.glob("*.py")} == {"mutants.py", "strength.py", "structure.py"}
