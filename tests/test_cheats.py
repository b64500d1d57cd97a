"""Attacks on the grader, each in a delivery that deserves nothing: it gets nothing, and the attack is named.

The kinds are those that were reported against public harnesses, and stand in `fixtures/cheats/`.
"""

import json
import shutil
from pathlib import Path

import pytest

from evals import workspace
from evals.catalog import cheats
from tests.conftest import Record
from tests.project import ROOT, Evals

CHEATS = {cheat.name: cheat for cheat in cheats.load_all(ROOT)}
KINDS = 27

WRONG_APP = """from fastapi import FastAPI

app = FastAPI()


@app.get("/healthz")
def health() -> dict[str, str]:
    return {"status": "ok"}
"""


def test_every_known_kind_is_there() -> None:
    assert {cheat.kind for cheat in CHEATS.values()} == set(range(1, KINDS + 1))


def test_every_cheat_stands_in_the_documents() -> None:
    text = (ROOT / "docs" / "security.md").read_text()
    assert [name for name, cheat in CHEATS.items() if f"| {cheat.kind} | {cheat.what} " not in text] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", CHEATS)
def test_a_cheat_gets_nothing_and_is_named(evals: Evals, record: Record, tmp_path: Path, name: str) -> None:
    cheat = CHEATS[name]
    collected = cheat.deliver(cheats.load_base(ROOT), tmp_path)
    record(collected.files)
    result = json.loads(evals("run", "--agent", "toy", "--json").stdout)
    assert result["trials"][0]["fault"] is None
    scores = result["tasks"][0]["scores"]
    assert {name: scores[name] for name, highest in cheat.highest.items() if scores[name] > highest} == {}
    said = [*evals.trials()[0]["attacks"], *collected.dropped]  # type: ignore[misc]
    assert any(cheat.named in text for text in said), said


def add_cheat(evals: Evals, text: str) -> None:
    folder = evals.folder / "fixtures" / "cheats" / "mine"
    folder.mkdir(parents=True)
    shutil.copy(ROOT / "fixtures" / "cheats" / "base.toml", folder.parent)
    (folder / "cheat.toml").write_text(text)


HONEST = 'kind = 1\nwhat = "w"\nseen_in = "s"\nnamed = "no such sign"\n\n[files]\n'


@pytest.mark.slow
def test_a_cheat_that_gains_or_is_not_named_falls_short(evals: Evals, solution: dict[str, bytes]) -> None:
    files = "".join(f"{json.dumps(path)} = {json.dumps(data.decode())}\n" for path, data in solution.items())
    add_cheat(evals, HONEST + files)
    done = evals("validate", "echo", "--write", "cards", status=1)
    assert "echo: the cheat mine gets acceptance, own_tests" in done.stderr
    assert "echo: the cheat mine is not named" in done.stderr
    assert "| mine | 1 | 100% | 50% | **not named** |" in (evals.folder / "cards" / "echo.md").read_text()


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("kind = 1", "kind = 'one'", "cheat.toml: kind: found"),
        ('what = "w"\n', "", "cheat.toml: "),
        ("[files]", "[fils]", "fils"),
        ("kind = 1", "kind = ", "is not TOML"),
    ],
)
def test_a_broken_cheat_is_named(evals: Evals, old: str, new: str, says: str) -> None:
    add_cheat(evals, HONEST.replace(old, new) + '"a.txt" = "x"\n')
    assert says in evals("validate", "echo", status=2).stderr


def test_links_of_a_cheat_are_dropped_and_named(tmp_path: Path) -> None:
    collected = CHEATS["link-out-of-the-workspace"].deliver({"a.txt": "x"}, tmp_path)
    assert set(collected.files) == {"a.txt"}
    assert collected.dropped == ("out: a symbolic link", "report.jsonl: a symbolic link")
    assert list(tmp_path.iterdir()) == []
    assert workspace.digest(collected.files)


@pytest.mark.slow
def test_silenced_findings_count_all_the_same(evals: Evals, record: Record) -> None:
    source = (
        WRONG_APP
        + "\n\ndef f(a):  # type: ignore\n    import os  # noqa\n    return undefined  # noqa # type: ignore\n"
    )
    record({"app/__init__.py": b"", "app/main.py": source.encode()})
    result = json.loads(evals("run", "--agent", "toy", "--json").stdout)
    scores = result["tasks"][0]["scores"]
    assert scores["lint"] < 1
    assert scores["types"] < 1
    reasons = {score["name"]: score["reason"] for score in evals.trials()[0]["scores"]}  # type: ignore[attr-defined]
    assert "2 noqa comments, not obeyed" in reasons["lint"]
    assert "2 silencing comments, not obeyed" in reasons["types"]
