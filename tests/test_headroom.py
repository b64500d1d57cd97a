"""What stored trials say of their tasks and checks."""

import json
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals import schema
from evals.stats import items
from tests import stored
from tests.conftest import Keep
from tests.project import Evals


def run_of_everything(evals: Evals) -> None:
    stored.add_run(evals.folder / "reports", "20260101-000000-abcd")


def test_a_task_at_the_ceiling_is_saturated(evals: Evals, keep: Keep) -> None:
    keep("toy", [3] * 9 + [2])
    keep("toy:terse", [3] * 10)
    run_of_everything(evals)
    (found,) = json.loads(evals("validate", "--trials", "latest", "--json").stdout)
    schema.check([found], "headroom", "printed")
    assert (found["trials"], found["revisions"], found["at_ceiling"], found["saturated"]) == (20, 2, 0.95, True)
    text = evals("validate", "--trials", "latest").stdout
    assert "95% saturated" in text
    assert "echo: saturated: an equivalence here says little" in text


def test_spreads_and_dead_checks(evals: Evals, keep: Keep) -> None:
    keep("toy", [2, 1, 2, None])
    keep("toy:terse", [1, 1, 2])
    run_of_everything(evals)
    (found,) = json.loads(evals("validate", "echo", "--trials", "latest", "--json").stdout)
    assert found["trials"] == 6
    assert found["saturated"] is False
    values = [[2 / 3, 1 / 3, 2 / 3], [1 / 3, 1 / 3, 2 / 3]]
    assert found["spread_between_epochs"] == pytest.approx(
        statistics.fmean(statistics.variance(v) for v in values) ** 0.5, abs=1e-5
    )
    assert found["spread_between_revisions"] == pytest.approx(
        statistics.stdev(statistics.fmean(v) for v in values), abs=1e-5
    )
    assert [check["passed"] for check in found["checks"]] == [1, 0.5, 0]
    assert "echo: everybody fails test_survives_a_kill" in evals("validate", "--trials", "latest").stdout


def test_a_run_without_scores_is_told(evals: Evals, keep: Keep) -> None:
    keep("toy", [None])
    run_of_everything(evals)
    assert "no scored trial" in evals("validate", "--trials", "latest", status=2).stderr


@given(st.lists(st.lists(st.booleans(), min_size=3, max_size=3), max_size=12))
def test_item_rest_is_the_correlation_with_the_others(rows: list[list[bool]]) -> None:
    found = items.item_rest(rows)
    assert len(found) == (3 if rows else 0)
    for n, value in enumerate(found):
        one = [int(row[n]) for row in rows]
        rest = [sum(row) - row[n] for row in rows]
        if len(set(one)) < 2 or len(set(rest)) < 2:
            assert value is None
        else:
            assert value == pytest.approx(statistics.correlation(one, rest))


def test_a_check_that_agrees_with_the_rest_tells_and_one_that_disagrees_shows() -> None:
    rows = [[True, True, False], [True, True, False], [False, False, True], [False, False, True]]
    assert items.item_rest(rows)[2] == pytest.approx(-1)
    assert items.item_rest([row[:2] for row in rows]) == pytest.approx([1, 1])


def test_spreads_need_repeats() -> None:
    within, between = items.spreads([[0.5], [0.7]])
    assert within is None
    assert between == pytest.approx(statistics.stdev([0.5, 0.7]))
    within, between = items.spreads([[0.5, 0.7]])
    assert within == pytest.approx(statistics.stdev([0.5, 0.7]))
    assert between is None
