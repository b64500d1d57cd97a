"""Estimates, tests and plans: properties, and cases from the literature."""

import itertools
import math
import statistics

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import special
from scipy import stats as scipy_stats

from evals.stats import many, power, proportions, sequential, tasks
from evals.stats.stratified import Estimate, Stratum, cell_variance, estimate

FEW = 500
SHARES = st.integers(0, 20).map(lambda n: n / 20)
CELLS = st.lists(SHARES, min_size=1, max_size=5).map(tuple)
STRATA = st.lists(st.builds(Stratum, name=st.just("t"), base=CELLS, head=CELLS), min_size=1, max_size=5)


def swapped(strata: list[Stratum]) -> list[Stratum]:
    return [Stratum(name=s.name, base=s.head, head=s.base) for s in strata]


def shifted(strata: list[Stratum], by: float) -> list[Stratum]:
    return [Stratum(name=s.name, base=s.base, head=tuple(v + by for v in s.head)) for s in strata]


def ends(found: Estimate) -> list[float]:
    return [found.difference, found.low, found.high, found.p]


@given(STRATA)
def test_swapping_the_revisions_mirrors_the_result(strata: list[Stratum]) -> None:
    there, back = estimate(strata, most=FEW), estimate(swapped(strata), most=FEW)
    assert ends(back) == pytest.approx([-there.difference, -there.high, -there.low, there.p], abs=1e-12)


@given(STRATA, st.randoms(use_true_random=False))
def test_order_of_trials_and_tasks_does_not_matter(strata: list[Stratum], random: object) -> None:
    mixed = [
        Stratum(name="other", base=tuple(sorted(s.base, reverse=True)), head=tuple(sorted(s.head))) for s in strata
    ]
    random.shuffle(mixed)  # type: ignore[attr-defined]
    assert ends(estimate(mixed, most=FEW)) == pytest.approx(ends(estimate(strata, most=FEW)), abs=1e-12)


@given(STRATA, st.integers(-40, 40).map(lambda n: n / 8))
def test_a_constant_shifts_the_estimate(strata: list[Stratum], by: float) -> None:
    plain, moved = (estimate(s, most=FEW, bounded=False) for s in (strata, shifted(strata, by)))
    assert moved.difference == pytest.approx(plain.difference + by)


@given(STRATA, st.sampled_from([0.2, 0.05, 0.001]), st.booleans())
def test_any_data_give_figures(strata: list[Stratum], alpha: float, bounded: bool) -> None:  # noqa: FBT001
    found = estimate(strata, alpha=alpha, bounded=bounded, most=FEW)
    assert found.low <= found.difference <= found.high
    assert not any(math.isnan(value) for value in ends(found))
    assert 0 < found.p <= 1
    if bounded:
        assert -1 <= found.low < found.high <= 1


@given(STRATA)
def test_p_is_never_below_what_arrangements_allow(strata: list[Stratum]) -> None:
    found = estimate(strata, most=FEW)
    count = math.prod(math.comb(len(s.base) + len(s.head), len(s.head)) for s in strata)
    assert found.p >= min(1.0, 2 / count) - 1e-12


@example([Stratum(name="t", base=(0.0, 0.15), head=(0.15, 0.45, 0.5))], 0.3)
@given(STRATA, st.sampled_from([0.3, 0.1, 0.05]))
def test_a_verdict_needs_the_exact_test(strata: list[Stratum], alpha: float) -> None:
    found = estimate(strata, alpha=alpha, most=FEW)
    if found.low > 0 or found.high < 0:
        assert found.p <= alpha + 1e-9


@settings(max_examples=50)
@given(st.lists(SHARES, min_size=2, max_size=4), st.lists(SHARES, min_size=2, max_size=4), st.floats(-1.5, 1.5))
def test_the_interval_holds_what_the_test_does_not_refuse(base: list[float], head: list[float], by: float) -> None:
    strata = [Stratum(name="t", base=tuple(base), head=tuple(head))]
    found = estimate(strata, alpha=0.2, bounded=False)
    if estimate(shifted(strata, -by), alpha=0.2, bounded=False).p > 0.2 + 1e-9:
        assert found.low - 1e-9 <= by <= found.high + 1e-9


@pytest.mark.parametrize("epochs", [1, 2, 3, 10])
def test_equal_values_never_give_an_interval_without_width(epochs: int) -> None:
    strata = [Stratum(name=str(n), base=(1.0,) * epochs, head=(1.0,) * epochs) for n in range(3)]
    found = estimate(strata)
    assert found.high == -found.low > 0.01
    assert found.p == 1


def test_no_result_of_one_trial_each_is_significant() -> None:
    strata = [Stratum(name=str(n), base=(0.0,), head=(1.0,)) for n in range(3)]
    found = estimate(strata)
    assert (found.p, found.low, found.high) == (0.25, -1, 1)


def test_vitamin_e() -> None:
    # Good, P. (2000): Permutation tests, section 1.1: 1 of 20 arrangements is as far out on one side.
    found = estimate([Stratum(name="cells", base=(34, 12, 22), head=(121, 118, 110))], bounded=False)
    assert found.p == pytest.approx(2 / 20)
    assert found.arrangements == 20


def test_strata_multiply_the_arrangements() -> None:
    stratum = Stratum(name="t", base=(0.1, 0.2, 0.3), head=(0.7, 0.8, 0.9))
    found = estimate([stratum, stratum, stratum])
    assert found.arrangements == 20**3
    assert found.p == 2 / 20**3


VARIED = st.lists(st.floats(-5, 5), min_size=2, max_size=8).filter(lambda v: statistics.pvariance(v) > 1e-6)


@given(VARIED, VARIED)
def test_the_error_lies_between_welchs_and_hc3(base: list[float], head: list[float]) -> None:
    found = estimate([Stratum(name="t", base=tuple(base), head=tuple(head))], bounded=False, most=FEW)
    welch = abs(statistics.fmean(head) - statistics.fmean(base)) / abs(
        scipy_stats.ttest_ind(head, base, equal_var=False).statistic or math.inf
    )
    hc3 = math.sqrt(sum(statistics.variance(side) / max(1, len(side) - 1) for side in (base, head)))
    assert found.error <= hc3 * (1 + 1e-9)
    if welch > 0:
        assert found.error >= welch * (1 - 1e-6)


@given(VARIED, st.floats(-3, 3))
def test_with_equal_variances_it_is_welchs_test(base: list[float], by: float) -> None:
    head = [value + by for value in base]
    found = estimate([Stratum(name="t", base=tuple(base), head=tuple(head))], bounded=False, most=FEW)
    welch = scipy_stats.ttest_ind(head, base, equal_var=False)
    assert found.freedom == pytest.approx(welch.df, rel=1e-5)
    assert found.difference / found.error == pytest.approx(welch.statistic, rel=1e-5, abs=1e-6)


def test_the_guard_is_the_rule_of_succession() -> None:
    assert cell_variance((1.0, 1.0, 1.0), bounded=True) == pytest.approx(0.8 * 0.2 / 3)
    assert cell_variance((0.0,), bounded=True) == pytest.approx(1 / 3 * 2 / 3)
    assert cell_variance((3.0, 3.0), bounded=False) == pytest.approx(9 / 4 / 2)
    assert cell_variance((0.5, 1.0), bounded=True) == pytest.approx(0.125)


def test_no_stratum_is_refused() -> None:
    with pytest.raises(ValueError, match="no stratum"):
        estimate([])


# tasks as the sample


def singles(differences: list[float]) -> list[Stratum]:
    return [Stratum(name=str(n), base=(0.5,), head=(0.5 + d,)) for n, d in enumerate(differences)]


def test_signs_are_turned_exactly() -> None:
    found = tasks.estimate(singles([0.1, 0.2, 0.15, 0.3, 0.12, 0.22]))
    assert found.p == 2 / 2**6
    assert found.low > 0
    assert found.low == pytest.approx(min(0.1, found.low))


def test_darwins_plants() -> None:
    # Fisher (1935), section 21: 863 of 32,768 sums of Darwin's 15 differences are as large; one-sided, ties counted.
    darwin = [49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48]
    strata = [Stratum(name=str(n), base=(0.0,), head=(float(d),)) for n, d in enumerate(darwin)]
    sums = [sum(s * d for s, d in zip(signs, darwin, strict=True)) for signs in itertools.product((1, -1), repeat=15)]
    assert sum(total >= sum(darwin) for total in sums) == 863
    found = tasks.estimate(strata, bounded=False)
    assert found.p == pytest.approx(2 * 863 / 32768, abs=0.006)  # a sample of the arrangements


@given(st.lists(st.integers(-10, 10).map(lambda n: n / 20), min_size=6, max_size=12))
def test_tasks_as_a_sample_give_figures_and_mirror(differences: list[float]) -> None:
    there = tasks.estimate(singles(differences))
    back = tasks.estimate(swapped(singles(differences)))
    assert there.low < there.high
    assert there.low <= there.difference + 1e-12
    assert ends(back) == pytest.approx([-there.difference, -there.high, -there.low, there.p], abs=1e-9)


def test_five_tasks_are_too_few() -> None:
    with pytest.raises(ValueError, match="6 are the fewest"):
        tasks.estimate(singles([0.1] * 5))


# looks


def test_one_look_has_all_of_alpha() -> None:
    assert sequential.levels([1.0], 0.05) == pytest.approx((0.05,), abs=1e-9)


@pytest.mark.parametrize("rho", [1.0, 2.0, 3.0])
def test_all_looks_together_spend_alpha(rho: float) -> None:
    fractions = np.array([0.15, 0.25, 0.4, 0.6, 0.8, 1.0])
    bounds = -special.ndtri(np.array(sequential.levels(list(fractions), 0.05, rho)) / 2)
    steps = np.random.default_rng(1).standard_normal((400_000, 6)) * np.sqrt(np.diff([0.0, *fractions]))
    crossed = np.abs(np.cumsum(steps, axis=1) / np.sqrt(fractions)) > bounds
    assert crossed.any(axis=1).mean() == pytest.approx(0.05, abs=0.0015)
    assert crossed[:, 0].mean() == pytest.approx(0.05 * 0.15**rho, abs=0.0005)


def test_the_levels_of_two_looks_are_those_of_the_bivariate_normal() -> None:
    first, second = sequential.levels([0.5, 1.0], 0.05, 1.0)
    assert first == pytest.approx(0.025)
    one, two = -special.ndtri(first / 2), -special.ndtri(second / 2)
    box = scipy_stats.multivariate_normal(cov=[[1, math.sqrt(0.5)], [math.sqrt(0.5), 1]])
    inside = box.cdf([one, two], lower_limit=[-one, -two])
    assert 1 - inside == pytest.approx(0.05, abs=2e-5)


@settings(max_examples=30)
@given(st.lists(st.integers(1, 50), min_size=1, max_size=6, unique=True).map(sorted))
def test_levels_stay_within_alpha_and_do_not_look_ahead(points: list[int]) -> None:
    fractions = [point / 50 for point in points]
    found = sequential.levels(fractions, 0.05)
    assert all(0 < level <= 0.05 + 1e-9 for level in found)
    assert sequential.levels(fractions[:1], 0.05) == pytest.approx(found[:1])


@pytest.mark.parametrize("fractions", [[0.5, 0.5], [0.5, 0.4], [0.0, 1.0], [0.5, 1.2]])
def test_fractions_that_do_not_rise_are_refused(fractions: list[float]) -> None:
    with pytest.raises(ValueError, match="must rise"):
        sequential.levels(fractions, 0.05)


@given(st.integers(1, 10), st.integers(1, 60))
def test_looks_go_from_the_first_to_the_last(first: int, last: int) -> None:
    found = sequential.looks(first, last)
    assert found[0] == min(first, last)
    assert found[-1] == last
    assert list(found) == sorted(set(found))


def test_the_outlook_without_an_effect_is_alpha() -> None:
    reached, expected = sequential.outlook(0.0, (3, 5, 8, 12, 20), 0.05)
    assert reached == pytest.approx(0.05, abs=0.005)
    assert expected > 19
    one, _ = sequential.outlook(0.7, (16,), 0.05)
    assert one == pytest.approx(special.ndtr(0.7 * 4 - 1.959964), abs=0.01)


# plans


def test_more_spread_takes_more_epochs() -> None:
    counts = [power.epochs_to_detect(0.1, spread, 3) for spread in (0.05, 0.1, 0.2, 0.4)]
    assert counts == sorted(counts)
    # 16 (s / d)^2 for each side of one comparison: Lehr (1992), Statistics in Medicine 11, 1099-1102.
    assert power.epochs_to_detect(0.1, 0.3, 1) == pytest.approx(16 * 9, rel=0.02)


def test_what_would_settle_it_grows_with_the_interval() -> None:
    found = estimate([Stratum(name="t", base=(0.5, 0.6, 0.7), head=(0.5, 0.65, 0.75))])
    more = power.epochs_to_settle(found, 3, 0.05)
    assert more is not None
    assert more > 3
    assert power.detectable(found) > abs(found.difference)
    with pytest.raises(ValueError, match="above 0"):
        power.epochs_to_detect(0, 0.1, 3)


# shares and many


@given(st.integers(1, 7), st.data())
def test_pass_at_k_counts_subsets(total: int, data: st.DataObject) -> None:
    successes, k = data.draw(st.integers(0, total)), data.draw(st.integers(1, total))
    outcomes = [True] * successes + [False] * (total - successes)
    subsets = list(itertools.combinations(outcomes, k))
    assert proportions.pass_at_k(successes, total, k) == pytest.approx(sum(map(any, subsets)) / len(subsets))
    assert proportions.pass_hat_k(successes, total, k) == pytest.approx(sum(map(all, subsets)) / len(subsets))


def test_too_few_trials_for_k_are_refused() -> None:
    with pytest.raises(ValueError, match="needs as many trials"):
        proportions.pass_at_k(1, 2, 3)


def test_holm() -> None:
    assert many.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert many.holm([]) == []
    assert [many.holm_level([0.01, 0.04, 0.03], n, 0.06) for n in range(3)] == pytest.approx([0.02, 0.06, 0.03])
