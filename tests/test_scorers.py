import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.scorers import acceptance, deliverables, density, own_tests, pytest_options, types
from evals.trial import composite
from evals.types import Check, Finished


def test_density_reaches_zero_at_five_per_hundred_lines() -> None:
    assert density.value(0, 100) == 1
    assert density.value(1, 100) == pytest.approx(0.8)
    assert density.value(5, 100) == 0
    assert density.value(50, 100) == 0
    assert density.value(0, 0) == 0


@given(st.integers(0, 10_000), st.integers(0, 100_000))
def test_density_stays_between_0_and_1(findings: int, lines: int) -> None:
    assert 0 <= density.value(findings, lines) <= 1
    assert density.value(findings + 1, lines) <= density.value(findings, lines)


def test_code_lines_leave_out_blanks_and_comments() -> None:
    assert density.code_lines({"a.py": b"# x\n\nx = 1\n  # y\ny = 2\n", "b.txt": b"x"}) == 2


JUNIT = b"""<testsuites><testsuite>
<testcase classname="t" name="a"/><testcase classname="t" name="b"><failure message="no"/></testcase>
<testcase classname="t" name="c"><skipped/></testcase><testcase classname="t" name="d"><error message="e"/></testcase>
</testsuite></testsuites>"""


def test_junit_counts_failures_errors_and_skips() -> None:
    counts = own_tests.read_junit(JUNIT)
    assert counts is not None
    assert (counts.passed, counts.failed, counts.skipped, counts.collected) == (1, 2, 1, 4)


@given(st.binary(max_size=200))
def test_a_forged_junit_file_is_data(data: bytes) -> None:
    assert own_tests.read_junit(data) is None or b"<" in data


def test_entities_are_refused() -> None:
    assert own_tests.read_junit(b'<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>') is None


def finished(reason: str = "exit", status: int = 0) -> Finished:
    return Finished(
        reason=reason,  # type: ignore[arg-type]
        status=status,
        output="out",
        peak_memory=0,
        files={},
        services=(),
        seconds=1,
    )


def test_tests_that_leave_no_result_score_nothing() -> None:
    assert own_tests.tests_score(finished(), None, 1).value == 0
    assert own_tests.tests_score(finished("wall"), own_tests.read_junit(JUNIT), 1).value == 0
    assert own_tests.tests_score(finished(), own_tests.read_junit(b"<testsuites/>"), 1).value == 0
    assert own_tests.tests_score(finished(status=1), own_tests.read_junit(JUNIT), 1).value == 0.25


@given(st.binary(max_size=100) | st.none())
def test_forged_coverage_is_data(data: bytes | None) -> None:
    assert own_tests.coverage_score(data, 0).value == 0


def test_coverage_says_whether_the_bar_is_met() -> None:
    def report(percent: float) -> bytes:
        totals = {"percent_covered": percent, "covered_lines": 1, "num_statements": 2}
        return json.dumps({"totals": totals, "files": {}}).encode()

    assert "below the bar" in own_tests.coverage_score(report(79.9), 0).reason
    assert "at or above the bar" in own_tests.coverage_score(report(80), 0).reason
    assert own_tests.coverage_score(report(1e9), 0).value == 1


def test_only_harmless_pytest_settings_are_kept() -> None:
    pyproject = b'[tool.pytest.ini_options]\nasyncio_mode = "auto"\naddopts = "-k nothing"\npythonpath = ["src", "."]\n'
    kept = {"asyncio_mode": "auto", "pythonpath": "src ."}
    assert pytest_options.kept_settings({"pyproject.toml": pyproject}) == kept
    ini = b"[pytest]\nasyncio_mode = strict\nxfail_strict = false\n"
    assert pytest_options.kept_settings({"pytest.ini": ini}) == {"asyncio_mode": "strict"}
    assert pytest_options.kept_settings({"pyproject.toml": b"[tool", "tox.ini": b"\xff[", "setup.cfg": b"x"}) == {}


def test_silencing_comments_are_taken_out_and_counted() -> None:
    source = b"x = f()  # type: ignore[no-any]\n# mypy: ignore-errors\ny = 1  # type:ignore\n"
    files, count = types.without_silencers({"a.py": source, "n.md": b"# mypy: x"})
    assert count == 3
    assert b"ignore" not in files["a.py"]
    assert files["n.md"] == b"# mypy: x"


def facts(files: dict[str, str]) -> dict[str, bool]:
    return {name: holds for name, (holds, _) in deliverables.facts({p: t.encode() for p, t in files.items()}).items()}


GOOD = {
    "app/main.py": "def f():\n    return 1\n",
    ".env.example": "A=1\n",
    "NOTES.md": "Decisions. " * 40,
}


def test_a_whole_delivery_meets_every_fact() -> None:
    assert all(facts(GOOD).values())


@pytest.mark.parametrize(
    ("change", "fact"),
    [
        ({"app/x.py": "x = 1  # TODO: later\n"}, "no unfinished mark"),
        ({"app/x.py": "def f():\n    raise NotImplementedError\n"}, "no stub"),
        ({"app/x.py": "def f():\n    ...\n"}, "no stub"),
        ({"app/x.py": 'async def f():\n    """Later."""\n    pass\n'}, "no stub"),
        ({"key.pem": "-----BEGIN PRIVATE KEY-----\n" + "A" * 80}, "no secret"),
        ({"app/x.py": "KEY = 'AKIAABCDEFGHIJKLMNOP'\n"}, "no secret"),
        ({"app.db": "x"}, "no junk"),
        ({".env": "x"}, "no junk"),
        ({".env.example": None}, "an example configuration"),
        ({"NOTES.md": "short"}, "implementation notes"),
    ],
)
def test_what_is_missing_from_a_delivery_is_seen(change: dict[str, str | None], fact: str) -> None:
    files = {path: text for path, text in {**GOOD, **change}.items() if text is not None}
    assert [name for name, holds in facts(files).items() if not holds] == [fact]


@pytest.mark.parametrize(
    "source",
    [
        "s = 'TODO is a word'\n",
        "class P(Protocol):\n    def f(self): ...\n",
        "class E(AppError):\n    pass\n",
        "class A(ABC):\n    @abstractmethod\n    def f(self): ...\n",
        "@overload\ndef f(x): ...\n",
    ],
)
def test_what_only_looks_unfinished_is_not_held_against_a_delivery(source: str) -> None:
    assert all(facts({**GOOD, "app/x.py": source}).values())


@given(st.text(max_size=200))
def test_any_source_is_read_without_an_error(source: str) -> None:
    facts({"app/x.py": source.encode("utf-8", "replace").decode()})


CHECKS = tuple(Check(id=f"test_{n}", sentence="s", dimension="contract", weight=w) for n, w in (("a", 1.0), ("b", 3.0)))


def test_a_check_without_an_outcome_has_failed() -> None:
    score = acceptance.to_score(CHECKS, {"test_a": acceptance.Outcome(outcome="passed")})
    assert score.value == 0.25
    assert score.details["dimensions"] == {"contract": {"passed": 1, "total": 2}}
    assert "not reached" in score.details["checks"][1]["came"]


@given(st.dictionaries(st.sampled_from("abcdef"), st.tuples(st.floats(0, 1), st.floats(0.01, 1)), min_size=1))
def test_a_composite_lies_within_its_scores(parts: dict[str, tuple[float, float]]) -> None:
    total = sum(weight for _, weight in parts.values())
    weights = {name: weight / total for name, (_, weight) in parts.items()}
    values = {name: value for name, (value, _) in parts.items()}
    assert min(values.values()) - 1e-9 <= composite(values, weights) <= max(values.values()) + 1e-9
