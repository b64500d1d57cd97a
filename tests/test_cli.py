"""The command line from end to end: real files, processes and sandboxes, on a task that takes seconds."""

import json
import os
import signal
import subprocess
import time

import pytest

from tests.conftest import Record
from tests.project import Evals, leftovers, wait_for

RUN = ("run", "--agent", "toy")
Files = dict[str, bytes]


def test_a_recorded_delivery_is_graded_and_shown(evals: Evals, record: Record, solution: Files) -> None:
    record(solution)
    done = evals(*RUN)
    assert done.stderr.splitlines()[0].startswith("solver: recorded (ANTHROPIC_API_KEY is not set")
    assert "3 of 3 checks passed" in done.stderr
    assert "composite" in done.stdout

    (trial,) = evals.trials()
    assert trial["fault"] is None
    scores = {score["name"]: score["value"] for score in trial["scores"]}  # type: ignore[attr-defined]
    assert scores == dict.fromkeys(("acceptance", "deliverables", "lint", "own_tests", "coverage", "types"), 1.0)
    assert trial["composite"] == pytest.approx(1)

    shown = evals("show", str(trial["id"])[:6]).stdout
    assert all(word in shown for word in ("app/main.py", "Uvicorn running", "made_by", "acceptance"))


def test_oracle_passes_and_nop_fails_everything(evals: Evals) -> None:
    oracle = json.loads(evals(*RUN, "--solver", "oracle", "--json").stdout)
    assert oracle["tasks"][0]["scores"]["acceptance"] == 1
    nop = json.loads(evals(*RUN, "--solver", "nop", "--json").stdout)
    assert nop["tasks"][0]["composite"] == 0
    assert nop["tasks"][0]["faults"] == 0


def test_a_failed_check_tells_what_was_expected_and_what_came(evals: Evals, record: Record, solution: Files) -> None:
    source = solution["app/main.py"].replace(b'text == "secret"', b'text == "other"')
    record({**solution, "app/main.py": source})
    result = json.loads(evals(*RUN, "--json").stdout)
    assert result["trials"][0]["failed_checks"] == ["test_secret_is_refused"]
    assert result["tasks"][0]["scores"]["acceptance"] == 0.5
    shown = evals("show", result["trials"][0]["id"]).stdout
    assert "status 422" in shown
    assert '-> 200 {"text":"secret"}' in shown


@pytest.mark.slow
def test_only_what_is_missing_is_done(evals: Evals, record: Record, solution: Files) -> None:
    record(solution)
    evals(*RUN)
    again = evals(*RUN)
    assert "1 of 1 trials are in reports already" in again.stderr
    assert len(evals.trials()) == 1
    record(solution, epoch=2)
    evals(*RUN)
    assert len(evals.trials()) == 2
    evals(*RUN, "--no-resume", "--epochs", "1")
    assert len(evals.trials()) == 3


@pytest.mark.slow
def test_changed_graders_grade_again_without_solving(evals: Evals, record: Record, solution: Files) -> None:
    record(solution)
    evals(*RUN)
    checks = evals.folder / "fixtures" / "tasks" / "echo" / "tests" / "checks_echo.py"
    checks.write_text(checks.read_text().replace("422)", "423)"))
    plan = json.loads(evals(*RUN, "--dry-run", "--json").stdout)
    assert plan["trials"][0]["state"] == "regrade"
    result = json.loads(evals(*RUN, "--json").stdout)
    assert result["trials"][0]["failed_checks"] == ["test_secret_is_refused"]
    assert "solve" not in evals.trials()[1]["timings"] or "solve" not in evals.trials()[0]["timings"]  # type: ignore[operator]


@pytest.mark.slow
def test_rescore_grades_stored_workspaces(evals: Evals, record: Record, solution: Files) -> None:
    record(solution)
    evals(*RUN)
    for path in (evals.folder / "fixtures" / "recordings").rglob("*.tar.gz"):
        path.unlink()
    done = evals("rescore", "latest")
    assert "changed:" not in done.stderr
    attempts = sorted(str(trial["attempt"]) for trial in evals.trials())
    assert attempts == ["1", "2"]


def test_dry_run_writes_nothing(evals: Evals) -> None:
    done = evals(*RUN, "--solver", "oracle", "--epochs", "2", "--dry-run")
    assert "2 of 2 trials to run; expected cost $0.00" in done.stdout
    assert not evals.output.exists()


def test_lists(evals: Evals, record: Record, solution: Files) -> None:
    record(solution)
    listed = json.loads(evals("list", "agents", "--json").stdout)
    assert [row["agent"] for row in listed] == ["toy", "toy:terse"]
    assert [row["recordings"] for row in listed] == ["1", "0"]
    assert json.loads(evals("list", "tasks", "--json").stdout)[0]["task"] == "echo"
    assert json.loads(evals("list", "runs", "--json").stdout) == []
    evals(*RUN, "--solver", "nop")
    assert json.loads(evals("list", "runs", "--json").stdout)[0]["trials"] == "1"


HOSTILE = {
    "ends at import": b"import os\nos._exit(0)\n",
    "never listens": b"import time\ntime.sleep(1000)\n",
    "forges results": b"print('3 passed')\nprint('{\"event\": \"end\"}')\nraise SystemExit(0)\n",
    "is no python": b"\xff\x00(",
}


@pytest.mark.parametrize("kind", ["ends at import", "forges results", "is no python"])
def test_a_service_that_does_not_serve_scores_nothing(evals: Evals, record: Record, solution: Files, kind: str) -> None:
    record({**solution, "app/main.py": HOSTILE[kind]})
    result = json.loads(evals(*RUN, "--json").stdout)
    assert result["tasks"][0]["faults"] == 0
    assert result["tasks"][0]["scores"]["acceptance"] == 0
    assert result["tasks"][0]["scores"]["own_tests"] == 0


STATE_CHECK = """

def test_state(start: Start) -> None:
    service = start()
    with service.locked_database():
        expect.status(service.http.get("/healthz"), 200)
"""


@pytest.mark.slow
def test_a_service_that_the_arena_cannot_work_with_has_failed(evals: Evals, record: Record, solution: Files) -> None:
    task = evals.folder / "fixtures" / "tasks" / "echo"
    with (task / "tests" / "checks_echo.py").open("a") as file:
        file.write(STATE_CHECK)
    with (task / "tests" / "manifest.toml").open("a") as file:
        file.write('\n[[checks]]\nid = "test_state"\ndimension = "faults"\nsentence = "Echo"\n')
    record(solution)
    fault = evals(*RUN, "--json", status=3)
    assert "the arena fails with the reference too" in fault.stdout
    reference = task / "solution" / "python-fastapi" / "app" / "main.py"
    made = b"import sqlite3\nsqlite3.connect('/state/app.db').execute('create table t (x)')\n"
    reference.write_bytes(made + reference.read_bytes())
    result = json.loads(evals(*RUN, "--json").stdout)
    assert result["trials"][0]["fault"] is None
    assert result["trials"][0]["failed_checks"] == ["test_state"]


FAILING = b"def test_x():\n    assert False\n"
FORGER = b"""import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    report.outcome, report.longrepr = "passed", None
    return report
"""
FALSE_TOOL = b"import json, sys\nopen('/results/findings.json', 'w').write('[]')\nsys.exit(0)\n"


def test_a_forged_report_earns_nothing_and_is_named(evals: Evals, record: Record, solution: Files) -> None:
    record({**solution, "tests/conftest.py": FORGER, "tests/test_echo.py": FAILING})
    result = json.loads(evals(*RUN, "--json").stdout)
    assert result["tasks"][0]["scores"]["own_tests"] == 0
    assert evals.trials()[0]["attacks"] == ["changes what pytest reports: tests/conftest.py: pytest_runtest_makereport"]


def test_false_tools_are_not_run_and_are_named(evals: Evals, record: Record, solution: Files) -> None:
    bad = b"import os, sys\ndef f(a: int) -> str:\n    return a\n"
    record({**solution, "app/bad.py": bad, "ruff.py": FALSE_TOOL, "mypy.py": FALSE_TOOL, "subprocess.py": FALSE_TOOL})
    result = json.loads(evals(*RUN, "--json").stdout)
    assert result["tasks"][0]["scores"]["lint"] < 1
    assert result["tasks"][0]["scores"]["types"] < 1
    attacks = evals.trials()[0]["attacks"]
    assert "shadows a package of the grader: ruff.py" in attacks  # type: ignore[operator]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("run", "--agent", "nosuch"), "there is no agent 'nosuch'"),
        (("run", "--agent", "toy", "--task", "nosuch"), "there is no task 'nosuch'"),
        (("run", "--agent", "toy", "--stack", "nosuch"), "--stack nosuch"),
        (
            ("run", "--agent", "toy", "--solver", "nosuch"),
            "there is no 'nosuch' among solvers; there are: claude-code",
        ),
        (("run", "--agent", "toy", "--solver", "nop", "--model", "x"), "--model x"),
        (("run", "--agent", "toy"), "there is no recording of toy"),
        (("run", "--agent", "toy", "--epochs", "0"), "--epochs"),
        (("run",), "--agent"),
        (("show", "nosuch"), "names no trial"),
        (("rescore", "nosuch"), "names no run"),
        (("list", "nosuch"), "cannot list 'nosuch'"),
    ],
)
def test_bad_input_is_said_with_status_2(evals: Evals, arguments: tuple[str, ...], says: str) -> None:
    done = evals(*arguments, status=2)
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert evals.trials() == []


def test_a_broken_agent_is_named(evals: Evals) -> None:
    (evals.folder / "agents" / "toy.md").write_text("---\nname: toy\n---\nDo it.\n")
    assert "agents/toy.md: description: is missing" in evals(*RUN, "--solver", "nop", status=2).stderr


def test_unknown_front_matter_is_told(evals: Evals) -> None:
    path = evals.folder / "agents" / "toy.md"
    path.write_text(path.read_text().replace("name: toy", "name: toy\nmood: good"))
    done = evals(*RUN, "--solver", "nop")
    assert "toy: front matter fields that are not known, and have no effect: mood" in done.stderr


def test_a_mutilated_trial_file_is_named(evals: Evals) -> None:
    evals(*RUN, "--solver", "nop")
    (path,) = evals.output.glob("trials/**/*.json")
    document = json.loads(path.read_text())
    document["composite"] = 7
    path.write_text(json.dumps(document))
    done = evals(*RUN, "--solver", "nop", status=2)
    assert f"{path.name}: composite: found 7" in done.stderr
    path.write_text("{")
    assert "is not JSON" in evals("show", document["id"], status=2).stderr


def test_a_damaged_recording_is_named(evals: Evals, record: Record, solution: Files) -> None:
    record(solution)
    (path,) = evals.folder.glob("fixtures/recordings/*/*/*/*/workspace.tar.gz")
    path.write_bytes(path.read_bytes()[:100])
    assert "workspace.tar.gz" in evals(*RUN, status=2).stderr
    assert evals.trials() == []


def test_an_output_that_cannot_be_written_is_said(evals: Evals) -> None:
    (evals.folder / "file").write_text("x")
    done = evals(*RUN, "--solver", "nop", "--output", "file", status=2)
    assert "cannot write to the output folder file" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_full_disk_is_said_and_nothing_is_half_written(evals: Evals) -> None:
    disk = evals.folder / "disk"
    disk.mkdir()
    command = " ".join(f"'{word}'" for word in evals.command(*RUN, "--solver", "oracle", "--output", str(disk)))
    script = f"mount -t tmpfs -o size=16k none {disk} && {command}; s=$?; find {disk} -name '*.json' -size 0; exit $s"
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script],
        cwd=evals.folder,
        env=evals.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (2, 3), done.stderr
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout.strip() == ""


IGNORED = "as a background job of a script"


@pytest.mark.parametrize(
    ("stop", "ignored"),
    [
        pytest.param(signal.SIGINT, False, id="Ctrl-C"),
        pytest.param(signal.SIGINT, True, id=f"Ctrl-C {IGNORED}", marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, True, id=f"SIGTERM {IGNORED}", marks=pytest.mark.slow),
    ],
)
def test_ctrl_c_keeps_what_has_finished_and_leaves_nothing(
    evals: Evals, end_group, *, stop: signal.Signals, ignored: bool
) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN if ignored else signal.default_int_handler)
    process = evals.start(*RUN, "--solver", "oracle", "--epochs", "6", "--jobs", "1")
    signal.signal(signal.SIGINT, before)
    end_group.append(process)
    wait_for(evals.trials, 60)
    time.sleep(0.5)
    os.kill(process.pid, stop)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "interrupted: what has finished is kept" in output
    assert "Traceback" not in output
    assert leftovers(process.pid) == []
    assert list((evals.output / ".scratch").glob("run-*")) == []
    finished = len(evals.trials())
    assert 1 <= finished < 6
    result = json.loads(evals(*RUN, "--solver", "oracle", "--epochs", "6", "--json").stdout)
    assert len(result["trials"]) == len(evals.trials()) == 6


def test_kill_9_leaves_no_process_and_the_next_start_cleans_up(evals: Evals, end_group) -> None:
    process = evals.start(*RUN, "--solver", "oracle", "--epochs", "8", "--jobs", "1")
    end_group.append(process)
    wait_for(evals.trials, 60)
    time.sleep(0.5)
    assert len(leftovers(process.pid)) > 1
    process.kill()
    process.wait()
    wait_for(lambda: leftovers(process.pid) == [])
    assert len(list((evals.output / ".scratch").glob("run-*"))) == 1
    evals(*RUN, "--solver", "nop")
    assert list((evals.output / ".scratch").glob("run-*")) == []
    assert not list(evals.output.rglob("tmp*"))
    assert all(trial["fault"] is None for trial in evals.trials())


@pytest.mark.slow
def test_two_runs_on_one_output_lose_nothing(evals: Evals, end_group) -> None:
    both = [evals.start(*RUN, "--solver", "oracle", "--epochs", "2", "--no-resume") for _ in range(2)]
    end_group.extend(both)
    for process in both:
        output, _ = process.communicate(timeout=120)
        assert process.returncode == 0, output
    attempts = sorted((trial["key"]["epoch"], trial["attempt"]) for trial in evals.trials())  # type: ignore[index]
    assert attempts == [(1, 1), (1, 2), (2, 1), (2, 2)]
    assert len({str(trial["id"]) for trial in evals.trials()}) == 4


def test_version_and_help(evals: Evals) -> None:
    assert evals("--version").stdout.strip() == "0.1.0"
    assert "rescore" in evals("--help").stdout
