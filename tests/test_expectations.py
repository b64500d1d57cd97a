"""What the brief tasks' checks rest on: expectations, shared checks, and what the kit asks of a database."""

import itertools
import shutil
import sqlite3
from pathlib import Path

import httpx
import pytest

from evals.arena import database
from evals.arena.kit import expect
from evals.arena.kit.service import Clients
from evals.catalog import mutants, tasks
from evals.errors import InputError
from tests.project import PROJECT, ROOT

BRIEF = [f"{name}-brief" for name in ("csv-import-jobs", "jwt-auth", "registration-endpoint")]

SCHEMAS = {
    "unique column": ("CREATE TABLE users (id TEXT PRIMARY KEY, email TEXT UNIQUE)", False),
    "primary key": ("CREATE TABLE users (email TEXT PRIMARY KEY, id TEXT)", False),
    "index over the lower case": (
        "CREATE TABLE users (id TEXT PRIMARY KEY, email TEXT); CREATE UNIQUE INDEX one ON users (lower(email))",
        False,
    ),
    "number as key, and another unique id": (
        "CREATE TABLE users (n INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, email TEXT UNIQUE)",
        False,
    ),
    "no rule about the address": ("CREATE TABLE users (id TEXT PRIMARY KEY, email TEXT)", True),
    "only other columns are unique": (
        "CREATE TABLE users (n INTEGER PRIMARY KEY, id TEXT UNIQUE, token BLOB UNIQUE, email TEXT)",
        True,
    ),
    "a plain index": ("CREATE TABLE users (id TEXT, email TEXT); CREATE INDEX some ON users (email)", True),
}


@pytest.mark.parametrize("name", SCHEMAS)
def test_uniqueness_is_asked_of_the_database_itself(tmp_path: Path, name: str) -> None:
    schema, twice = SCHEMAS[name]
    with sqlite3.connect(tmp_path / "app.db") as connection:
        connection.executescript(schema)
        columns = [row[1] for row in connection.execute("PRAGMA table_info(users)")]
        values = {"n": 7, "id": "abc", "token": b"\x00\x01", "email": "Ada@example.com"}
        marks = ", ".join("?" * len(columns))
        connection.execute(f"INSERT INTO users VALUES ({marks})", [values[column] for column in columns])
    assert database.twice(str(tmp_path), "ada@EXAMPLE.com") is twice
    assert [row["email"] for row in database.rows(str(tmp_path), "ada@example.com")] == ["Ada@example.com"]
    with sqlite3.connect(tmp_path / "app.db") as connection:
        assert connection.execute("SELECT count(*) FROM users").fetchone() == (1,)
    with pytest.raises(LookupError, match="no row holds"):
        database.twice(str(tmp_path), "nobody@example.com")


def answer(status: int, **body: object) -> httpx.Response:
    return httpx.Response(status, json=body, request=httpx.Request("POST", "http://x/users"))


def test_where_no_shape_is_fixed_any_json_with_a_fitting_status_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(expect.Unmet, match=r'a body \{"error"'):
        expect.error(answer(409, detail="taken"), 409, "email_taken")
    monkeypatch.setattr(expect.Errors, "any_json", True)
    assert expect.error(answer(409, detail="taken"), 409, "email_taken") == {"detail": "taken"}
    assert expect.error(answer(422, detail="no JSON"), 400, "malformed_json")
    for wrong in (answer(400), answer(500)):
        with pytest.raises(expect.Unmet, match="status 409"):
            expect.error(wrong, 409, "email_taken")
    text = httpx.Response(409, text="taken", request=httpx.Request("POST", "http://x/users"))
    with pytest.raises(expect.Unmet, match="a JSON content type"):
        expect.error(text, 409, "email_taken")


def test_many_clients_have_addresses_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Clients.next() is None
    monkeypatch.setattr(Clients, "many", True)
    monkeypatch.setattr(Clients, "_numbers", itertools.count(65_530))
    found = [Clients.next() for _ in range(20)]
    assert len(set(found)) >= 19
    assert all(address is not None and httpx.URL(f"http://{address}").host == address for address in found)


@pytest.mark.parametrize("name", BRIEF)
def test_brief_tasks_expect_what_a_norm_asks_for_and_name_clauses_of_the_prompt(name: str) -> None:
    task = tasks.load(name, ROOT)
    prompt = tasks.flat((ROOT / "agents" / "backend-implementation-engineer.md").read_text())
    expected = [check for check in task.checks if check.norm]
    assert 20 <= len(expected) <= 35
    assert any(mark in check.norm for check in expected for mark in ("ASVS", "RFC", "CWE") if check.norm)
    for check in task.checks:
        assert check.clause is None or tasks.flat(check.clause) in prompt
    assert (task.any_errors, task.many_clients, len(task.shared_checks)) == (True, True, 1)
    assert len(mutants.load(task)) >= 45
    assert len(list((task.path / "solutions" / "python-fastapi").iterdir())) >= 2
    instruction = ROOT / "fixtures" / "tasks" / name / "instruction.md"
    assert instruction.read_text() == task.instruction


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    shutil.copytree(PROJECT, folder)
    return folder


def manifest(project: Path, text: str) -> None:
    path = project / "fixtures" / "tasks" / "echo" / "tests" / "manifest.toml"
    path.write_text(path.read_text() + text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[[checks]]\nid = "test_x"\ndimension = "limits"\n', "or one with `expects` and `norm`"),
        ('[[checks]]\nid = "test_x"\ndimension = "limits"\nexpects = "e"\n', "or one with `expects` and `norm`"),
        (
            '[[checks]]\nid = "test_x"\ndimension = "limits"\nsentence = "s"\nexpects = "e"\nnorm = "n"\n',
            "or one with `expects` and `norm`",
        ),
    ],
)
def test_a_check_has_a_sentence_or_a_norm(project: Path, text: str, words: str) -> None:
    manifest(project, text)
    with pytest.raises(InputError, match=words):
        tasks.load("echo", project)


def test_checks_of_another_task_are_imported_and_count_in_the_digest(project: Path) -> None:
    echo = project / "fixtures" / "tasks" / "echo"
    other = echo.with_name("other")
    shutil.copytree(echo, other)
    (other / "tests" / "checks_echo.py").unlink()
    names = [check.id for check in tasks.load("echo", project).checks]
    (other / "tests" / "checks_other.py").write_text(f"from checks_echo import {', '.join(names)}\n")
    toml = other / "task.toml"
    toml.write_text(
        toml.read_text().replace(
            "[metadata.evals.limits]", '[metadata.evals.checks]\nshared = ["echo"]\n\n[metadata.evals.limits]'
        )
    )
    before = tasks.load("other", project)
    assert [check.id for check in before.checks] == names
    (echo / "tests" / "checks_echo.py").write_text((echo / "tests" / "checks_echo.py").read_text() + "\n# more\n")
    assert tasks.load("other", project).digest != before.digest
    script = echo / "tests" / "test.sh"
    digest = tasks.load("echo", project).digest
    script.write_text("exit 0\n")
    assert tasks.load("echo", project).digest == digest
    toml.write_text(toml.read_text().replace('["echo"]', '["nothing"]'))
    with pytest.raises(InputError, match=r"checks\.shared: found 'nothing', which is no task; there are: echo, other"):
        tasks.load("other", project)


def test_a_check_module_that_is_no_python_is_named(project: Path) -> None:
    (project / "fixtures" / "tasks" / "echo" / "tests" / "checks_echo.py").write_text("def test_(:\n")
    with pytest.raises(InputError, match=r"checks_echo\.py: is not Python"):
        tasks.load("echo", project)
