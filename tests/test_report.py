"""Reports in every form, from stored data alone."""

import csv
import json
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests import reporting
from tests.project import PROJECT, Evals
from tests.reporting import BASE_RUN, HEAD_RUN


@pytest.fixture(scope="module")
def evals(tmp_path_factory: pytest.TempPathFactory) -> Evals:
    """The small project, with a comparison that was kept."""
    folder = tmp_path_factory.mktemp("report") / "project"
    shutil.copytree(PROJECT, folder)
    found = Evals(folder)
    reporting.fill(found.output)
    found("compare", BASE_RUN, HEAD_RUN, "--write", "kept", status=None)
    return found


@pytest.fixture(scope="module")
def folder(evals: Evals) -> Path:
    """The report of the comparison."""
    evals("report", "kept", "--to", "out")
    return evals.folder / "out"


def test_every_form_is_written(evals: Evals, folder: Path) -> None:
    names = {path.name for path in folder.iterdir()}
    assert names == {
        *("index.html", "trials", "diffs", "differences.svg", "differences.png"),
        *("report.md", "report.json", "junit.xml", "trials.csv", "checks.csv"),
    }
    assert len(list((folder / "trials").iterdir())) == 24
    done = evals("report", "kept", "--to", "again", "--format", "json", "--json")
    assert json.loads(done.stdout) == ["again/report.json"]
    document = json.loads((evals.folder / "again" / "report.json").read_text())
    assert [side["role"] for side in document["sides"]] == ["base", "head"]
    assert [side["faults"] for side in document["sides"]] == [0, 2]
    echo = document["tasks"][0]
    assert [trial["marks"] for trial in echo["trials"] if trial["role"] == "head"] == ["ppf", "ppp"] * 2 + [
        "ppf",
        "---",
    ]


def test_several_heads_are_told_apart(evals: Evals) -> None:
    (document,) = json.loads((evals.folder / "kept" / "comparison.json").read_text())
    (evals.folder / "two.json").write_text(json.dumps([document, document]))
    evals("report", "two.json", "--to", "two", "--format", "json", "--format", "html")
    found = json.loads((evals.folder / "two" / "report.json").read_text())
    assert [side["role"] for side in found["sides"]] == ["base", "head 1", "head 2"]
    assert [trial["role"] for trial in found["tasks"][0]["trials"]].count("head 2") == 6


def test_junit_names_revision_task_epoch_and_check(folder: Path) -> None:
    root = ET.parse(folder / "junit.xml").getroot()
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("68", "3", "2")
    failed = [case for case in root.iter("testcase") if case.find("failure") is not None]
    assert {case.get("name") for case in failed} == {"test_survives_a_kill"}
    assert {case.get("classname") for case in failed} == {
        f"{HEAD_RUN} / echo / python-fastapi / epoch {epoch}" for epoch in (1, 3, 5)
    }
    assert all("GET /echo -> 500" in str(case.find("failure").text) for case in failed)  # type: ignore[union-attr]
    errors = [case.find("error") for case in root.iter("testcase") if case.find("error") is not None]
    assert len(errors) == 2


def test_tables_can_be_read_again(folder: Path) -> None:
    with open(folder / "trials.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 24
    assert {row["role"] for row in rows} == {"base", "head"}
    assert [row["acceptance"] for row in rows if row["fault"]] == ["", ""]
    with open(folder / "checks.csv", newline="") as file:
        assert sum(row["outcome"] == "failed" for row in csv.DictReader(file)) == 3


def test_a_run_has_a_report_of_its_own(evals: Evals) -> None:
    done = evals("report", HEAD_RUN)
    assert "reports/report/index.html" in done.stdout
    text = (evals.output / "report" / "report.md").read_text()
    assert f"toy:terse: run {HEAD_RUN}" in text.replace("&#58;", ":")
    assert "**Failed checks (3)**" in text
    assert "**Faults: could not be measured**" in text
    assert "<script>" not in text


def test_nothing_of_an_agent_is_markup(folder: Path) -> None:
    for path in folder.rglob("*.html"):
        text = path.read_text()
        assert "<script>document" not in text, path
        assert "<img src=x" not in text, path
        assert "\x1b" not in text, path
        assert "Content-Security-Policy" in text


BAD = [
    (("report", "nosuch"), "'nosuch' names no run"),
    (("report", "kept", "--format", "docx"), "--format: found 'docx'; there are: html, md"),
    (("view", "nowhere", "--no-browser"), "nowhere: holds no report"),
]


@pytest.mark.parametrize(("arguments", "words"), BAD)
def test_bad_input_is_said(evals: Evals, arguments: tuple[str, ...], words: str) -> None:
    assert words in evals(*arguments, status=2).stderr


def test_a_comparison_of_trials_that_are_gone_says_so(evals: Evals) -> None:
    assert "is not in the store" in evals("report", "kept", "--output", "elsewhere", status=2).stderr


def test_view_serves_the_folder_and_nothing_else(evals: Evals, folder: Path, end_group) -> None:
    (evals.folder / "secret.txt").write_text("secret")
    (folder / "link.txt").symlink_to(evals.folder / "secret.txt")
    command = [sys.executable, "-c", "from evals.cli import main; main()", "view", str(folder), "--no-browser"]
    process = subprocess.Popen(
        command, cwd=evals.folder, env=evals.environment(), stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    end_group.append(process)
    assert process.stderr is not None
    address = process.stderr.readline().split(" at ")[1].split()[0]

    def status(path: str, host: str | None = None) -> int:
        request = urllib.request.Request(address + path, headers={"Host": host} if host else {})
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            error.close()
            return error.code

    assert [status(path) for path in ("", "index.html", "trials.csv")] == [200, 200, 200]
    refused = ("../secret.txt", "..%2fsecret.txt", "link.txt", "trials/", "%2e%2e/secret.txt", "/etc/passwd")
    assert {status(path) for path in refused} == {404}
    assert status("index.html", host="evil.example") == 403
    process.stderr.close()
