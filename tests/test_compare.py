"""`evals compare`, `plan`, `ablate` and `run --against`, through the front door, on stored trials and on real ones."""

import json
import os
import subprocess
from typing import Any

import pytest

from evals import schema
from evals.catalog import agents, clauses
from evals.reports import markdown
from tests import stored
from tests.conftest import Keep, Record
from tests.project import Evals


def compared(
    evals: Evals, *options: str, status: int = 0, base: str = "toy", head: str = "toy:terse"
) -> dict[str, Any]:
    (found,) = json.loads(evals("compare", base, head, "--json", *options, status=status).stdout)
    schema.check(found, "comparison", "printed")
    assert isinstance(found, dict)
    return found


def test_a_loss_is_a_regression(evals: Evals, keep: Keep) -> None:
    keep("toy", [3] * 8)
    keep("toy:terse", [1, 2] * 4)
    found = compared(evals, status=1)
    assert found["verdict"] == "regressed"
    assert found["difference"]["difference"] == pytest.approx(-0.5)
    assert found["difference"]["high"] < 0
    assert found["gate"] == {"fail_on": "regressed", "passed": False}
    assert [row["check"] for row in found["checks"]] == ["test_survives_a_kill", "test_secret_is_refused"]
    assert compared(evals, base="toy:terse", head="toy")["verdict"] == "improved"


def test_the_text_says_it_first(evals: Evals, keep: Keep) -> None:
    keep("toy", [3] * 8)
    keep("toy:terse", [1, 2] * 4)
    text = evals("compare", "toy", "toy:terse", status=1).stdout
    assert text.startswith("regressed: toy -> toy:terse: acceptance -50.0 (")
    assert "echo (python-fastapi)" in text
    assert "worse: 100% -> 0%  echo  test_survives_a_kill: The word is given back." in text
    assert "toy: every check passed in 8 of 8 trials" in text
    assert "pass^8 100%" in text
    assert "gate --fail-on regressed: failed" in text


def test_a_comment_for_a_pull_request_is_written(evals: Evals, keep: Keep) -> None:
    keep("toy", [3] * 8)
    keep("toy:terse", [1, 2] * 4)
    evals("compare", "toy", "toy:terse", "--write", "out", status=1)
    (found,) = json.loads((evals.folder / "out" / "comparison.json").read_text())
    schema.check(found, "comparison", "written")
    text = (evals.folder / "out" / "comparison.md").read_text()
    assert text.startswith(markdown.MARKER)
    assert "### 🔴 regressed: toy -&#62; toy:terse: acceptance -50.0 (" in text
    assert "| echo (python-fastapi) | 8 + 8 | ██████████ 100.0% | █████░░░░░ 50.0% | -50.0 (" in text
    assert "- 100% → 0% echo: The word is given back. (test&#95;survives&#95;a&#95;kill)" in text
    assert "- cost of the trials (base and head): $2.00 and $2.00" in text
    assert "- gate `regressed`: **failed**" in text


def test_a_comment_fits_and_is_harmless_whatever_is_in_it(evals: Evals, keep: Keep) -> None:
    keep("toy", [3] * 3)
    keep("toy:terse", [1] * 3)
    found = compared(evals)
    row = found["checks"][0]
    found["checks"] = [
        {**row, "sentence": "<img src=x onerror=alert(1)> [a](javascript:b) `c` @everyone |\n# d\x1b[31m" * 5}
    ] * 40
    text = markdown.comment([found] * 60)
    assert len(text) < 65_536
    assert text.endswith("`evals compare` prints all of it.\n")
    one = markdown.comment([found])
    assert not any(mark in one for mark in ("<img", "](", "\x1b", "@everyone", "\n# d"))


def test_no_difference_in_many_trials_is_equivalence(evals: Evals, keep: Keep) -> None:
    keep("toy", [3] * 25)
    keep("toy:terse", [3] * 25)
    found = compared(evals, "--fail-on", "inconclusive")
    assert found["verdict"] == "equivalent"
    assert -0.05 < found["difference"]["low"] < 0 < found["difference"]["high"] < 0.05
    assert found["saturated"] == ["echo"]
    assert "saturated: nearly every trial of echo is at the ceiling" in evals("compare", "toy", "toy:terse").stdout


def test_few_trials_are_inconclusive_and_say_what_it_would_take(evals: Evals, keep: Keep) -> None:
    keep("toy", [3, 3, 2])
    keep("toy:terse", [3, 2, 2])
    found = compared(evals)
    assert found["verdict"] == "inconclusive"
    assert found["detectable"] > 0.3
    assert found["epochs_to_settle"] > 3
    text = evals("compare", "toy", "toy:terse").stdout
    assert "epochs detect with 80% power" in text
    assert "epochs of each task and revision would settle it" in text


@pytest.mark.parametrize(
    ("gate", "trials", "status"),
    [
        ("regressed", ([3] * 3, [3] * 3), 0),
        ("inconclusive", ([3] * 3, [3] * 3), 1),
        ("not-improved", ([3] * 25, [3] * 25), 1),
        ("not-improved", ([1] * 8, [3] * 8), 0),
        ("not-noninferior", ([3] * 25, [3] * 25), 0),
        ("not-noninferior", ([3] * 3, [3] * 3), 1),
    ],
)
def test_gates(evals: Evals, keep: Keep, gate: str, trials: tuple[list[int], list[int]], status: int) -> None:
    keep("toy", trials[0])
    keep("toy:terse", trials[1])
    compared(evals, "--fail-on", gate, status=status)


def test_faults_are_counted_and_can_take_a_verdict_away(evals: Evals, keep: Keep) -> None:
    keep("toy", [3] * 8)
    keep("toy:terse", [1, 2, 1, 2, None, None, None, None, None, None, None, None])
    found = compared(evals)
    assert found["verdict"] == "inconclusive"
    assert "8 faults" in found["reason"]
    assert found["head"]["faults"] == 8
    assert "8 faults: could not be measured" in evals("compare", "toy", "toy:terse").stdout


def test_a_task_of_one_side_only_can_take_a_verdict_away(evals: Evals, keep: Keep) -> None:
    keep("toy", [3] * 8)
    keep("toy:terse", [1, 2] * 4)
    keep("toy", [3] * 8, task="other")
    found = compared(evals)
    assert found["verdict"] == "inconclusive"
    assert found["missing"] == [{"task": "other", "stack": "python-fastapi", "only_in": "toy"}]
    assert compared(evals, "--task", "echo", status=1)["verdict"] == "regressed"


def test_only_faults_are_not_measured(evals: Evals, keep: Keep) -> None:
    keep("toy", [3, 3])
    keep("toy:terse", [None, None])
    done = evals("compare", "toy", "toy:terse", "--json", status=3)
    assert json.loads(done.stdout)[0]["difference"] is None


def test_a_later_attempt_takes_the_place_of_a_fault(evals: Evals, keep: Keep) -> None:
    keep("toy", [3, 3])
    keep("toy:terse", [None, 2])
    keep("toy:terse", [2])
    found = compared(evals)
    assert (found["head"]["trials"], found["head"]["faults"]) == (2, 0)
    assert found["tasks"][0]["head"]["values"] == pytest.approx([2 / 3, 2 / 3], abs=1e-6)


def test_what_must_not_be_mixed_is_refused(evals: Evals, keep: Keep) -> None:
    keep("toy", [3, 3])
    digests = dict.fromkeys(("task", "solve", "stack"), "0" * 64) | dict.fromkeys(("graders", "grading"), "1" * 64)
    keep("toy:terse", [3, 3], digests=digests)
    said = evals("compare", "toy", "toy:terse", status=2).stderr
    assert (
        "echo on python-fastapi: toy and toy:terse were not graded alike (graders 000000000000 and 111111111111)"
        in said
    )
    assert "evals rescore" in said


def test_other_models_are_refused_and_can_be_chosen(evals: Evals, keep: Keep) -> None:
    keep("toy", [3, 3], model="a")
    keep("toy:terse", [3, 3], model="b")
    said = evals("compare", "toy", "toy:terse", status=2).stderr
    assert "toy has trials by live/agent/a, toy:terse by live/agent/b" in said
    keep("toy:terse", [3, 3], model="a")
    keep("toy", [2, 2], model="b")
    assert (
        "choose with --solver, --kind, --model or --settings" in evals("compare", "toy", "toy:terse", status=2).stderr
    )
    assert compared(evals, "--model", "b")["tasks"][0]["base"]["mean"] == pytest.approx(2 / 3)


def test_trials_of_other_settings_are_refused_and_can_be_chosen(evals: Evals, keep: Keep) -> None:
    keep("toy", [3, 3], settings="aaaaaaaa")
    keep("toy:terse", [3, 3], settings="bbbbbbbb")
    said = evals("compare", "toy", "toy:terse", status=2).stderr
    assert "toy has trials by live/agent/m/aaaaaaaa, toy:terse by live/agent/m/bbbbbbbb" in said
    keep("toy:terse", [3, 3], settings="aaaaaaaa")
    keep("toy", [2, 2], settings="bbbbbbbb")
    found = compared(evals, "--settings", "bbbbbbbb")
    assert found["settings"]["settings"] == "bbbbbbbb"
    assert found["tasks"][0]["base"]["mean"] == pytest.approx(2 / 3)


def test_versions_of_evals_are_not_mixed(evals: Evals, keep: Keep) -> None:
    keep("toy", [3, 3])
    keep("toy:terse", [3, 3], evals_version="0.0.9")
    assert "trials of evals 0.0.9 and 0.1.0 must not be mixed" in evals("compare", "toy", "toy:terse", status=2).stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("toy", "toy"), "are the same revision"),
        (("toy", "toy:terse"), "there is no trial of revision"),
        (("main", "HEAD"), "name the agent with --agent"),
        (("toy", "toy:terse", "--fail-on", "anything"), "there are: regressed, not-improved"),
        (("20260101-000000-abcd", "toy"), "names no run"),
    ],
)
def test_what_cannot_be_compared_is_told(evals: Evals, arguments: tuple[str, ...], says: str) -> None:
    assert says in evals("compare", *arguments, status=2).stderr


def test_an_unknown_metric_lists_what_there_is(evals: Evals, keep: Keep) -> None:
    keep("toy", [3, 3])
    keep("toy:terse", [3, 3])
    assert (
        "acceptance, lint, dimension:contract"
        in evals("compare", "toy", "toy:terse", "--metric", "joy", status=2).stderr
    )


def test_less_cost_is_an_improvement(evals: Evals, keep: Keep) -> None:
    keep("toy", [3] * 6)
    solution = {"ended": "done", "provenance": {}, "cost_usd": 0.1, "tokens": None, "dropped": []}
    for epoch in range(3):
        cheaper = {**solution, "cost_usd": 0.1 + epoch / 100}
        keep("toy:terse", [3] * (6 - 2 * epoch), solution=cheaper)
    found = compared(evals, "--metric", "cost", "--margin", "0.01")
    assert found["verdict"] == "improved"
    assert found["unit"] == "USD"
    assert found["difference"]["difference"] < -0.1


def test_tasks_like_these_need_six(evals: Evals, keep: Keep) -> None:
    for n in range(5):
        keep("toy", [2, 3], task=f"t{n}")
        keep("toy:terse", [1, 2], task=f"t{n}")
    said = evals("compare", "toy", "toy:terse", "--generalize", status=2).stderr
    assert "--generalize: found 5 tasks; a statement about tasks like these needs at least 6" in said
    keep("toy", [2, 3], task="t5")
    keep("toy:terse", [1, 2], task="t5")
    assert compared(evals, "--generalize", status=1)["difference"]["arrangements"] == 64


def test_several_heads_share_alpha(evals: Evals, keep: Keep) -> None:
    (evals.folder / "agents" / "variants" / "toy.long.md").write_text(
        (evals.folder / "agents" / "toy.md").read_text() + "\nThink.\n"
    )
    keep("toy", [3] * 8)
    keep("toy:terse", [1, 2] * 4)
    keep("toy:long", [3, 2] * 4)
    found = json.loads(evals("compare", "toy", "toy:long", "toy:terse", "--json", status=1).stdout)
    assert [document["question"]["level"] for document in found] == [0.05, 0.025]
    assert [document["verdict"] for document in found] == ["inconclusive", "regressed"]


def test_git_references_of_an_agent(evals: Evals, keep: Keep) -> None:
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.com", "-C", str(evals.folder)]
    env = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null"}
    for command in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-qm", "one"]):
        subprocess.run([*git, *command], check=True, env=env)
    keep("toy", [3] * 8)
    prompt = evals.folder / "agents" / "toy.md"
    prompt.write_text(prompt.read_text() + "\nBe quick.\n")
    keep("toy", [1, 2] * 4)
    subprocess.run([*git, "commit", "-qam", "two"], check=True, env=env)
    found = compared(evals, "--agent", "toy", base="HEAD~1", head="main", status=1)
    assert (found["base"]["label"], found["head"]["label"]) == ("HEAD~1", "main")
    assert found["verdict"] == "regressed"
    assert compared(evals, base="toy@HEAD~1", head="agents/toy.md", status=1)["verdict"] == "regressed"


def test_runs_are_compared_by_id_and_by_folder(evals: Evals, keep: Keep) -> None:
    keep("toy", [3] * 8)
    keep("toy:terse", [1, 2] * 4)
    reports = evals.folder / "reports"
    for name, agent in (("20260101-000000-aaaa", "toy"), ("20260101-000001-bbbb", "toy:terse")):
        stored.add_run(reports, name, agents.load(agent, evals.folder).digest)
    found = compared(evals, base="20260101-000000-aaaa", head="latest", status=1)
    assert found["verdict"] == "regressed"
    folder = "reports/runs/20260101-000000-aaaa"
    assert compared(evals, base=folder, head="toy:terse", status=1)["base"]["label"] == folder
    stored.add_run(reports, "20260101-000002-cccc")
    said = evals("compare", "latest", "toy", status=2).stderr
    assert "latest: a run to compare holds the trials of one revision; found toy" in said


# plan


def test_a_plan_from_stored_trials(evals: Evals, keep: Keep) -> None:
    keep("toy", [3, 2, 3, 1])
    found = json.loads(evals("plan", "--agent", "toy", "--effect", "0.2", "--json").stdout)
    assert found["spread_basis"] == "from 4 stored trials"
    assert found["cost_a_trial_usd"] == 0.25
    assert found["fixed"]["cost_usd"] == pytest.approx(found["fixed"]["trials"] * 0.25, abs=0.01)
    assert found["until_verdict"]["expected"]["trials"] < found["fixed"]["trials"]
    assert found["until_verdict"]["at_most"]["trials"] >= found["fixed"]["trials"]


def test_a_plan_names_what_can_still_show_a_difference(evals: Evals, keep: Keep) -> None:
    keep("toy", [3, 3, 3, 3])
    (row,) = json.loads(evals("plan", "--agent", "toy", "--json").stdout)["room"]
    assert row["task"] == "echo"
    assert "acceptance" in row["saturated"]
    assert "at the ceiling: acceptance" in evals("plan", "--agent", "toy").stdout
    keep("toy:terse", [3, 2, 1, 3])
    (row,) = json.loads(evals("plan", "--agent", "toy", "--json").stdout)["room"]
    assert "acceptance" in row["metrics"]
    assert "acceptance can still show a difference" in evals("plan", "--agent", "toy").stdout


def test_a_plan_from_assumptions_says_so(evals: Evals) -> None:
    text = evals("plan", "--agent", "toy").stdout
    assert "0.100 (assumed: no task has two stored trials" in text
    assert "assumed for claude-sonnet-5-5" in text
    text = evals("plan", "--agent", "toy", "--spread", "0.2", "--cost", "0.5").stdout
    assert "0.200 (given with --spread)" in text
    assert "$0.50 (given with --cost)" in text


# ablate

PROMPT = """---
name: toy
description: A toy.
---
You write services.

Always:
- validate
- test

# Style

Short functions.

## Names

Plain names.
"""


@pytest.fixture
def sectioned(evals: Evals) -> Evals:
    """The toy agent with a prompt that has clauses."""
    (evals.folder / "agents" / "toy.md").write_text(PROMPT)
    return evals


def test_clauses_follow_the_markdown(sectioned: Evals) -> None:
    rows = json.loads(sectioned("ablate", "--agent", "toy", "--list", "--json").stdout)
    assert [row["clause"] for row in rows] == ["always", "short-functions", "names"]


def test_a_clause_is_left_out_and_nothing_else(sectioned: Evals) -> None:
    source = agents.read("toy", sectioned.folder)
    for clause in clauses.find(source.revision().body):
        revision = clauses.without(source, clause).revision()
        assert clause.text not in revision.body
        assert revision.body.startswith("You write services.")
        assert revision.digest != source.revision().digest
        for other in clauses.find(source.revision().body):
            if other != clause:
                assert other.text in revision.body


def test_variants_without_a_clause_can_be_kept(sectioned: Evals) -> None:
    sectioned("ablate", "--agent", "toy", "--write", "--clause", "always")
    kept = agents.load("toy:without-always", sectioned.folder)
    assert "validate" not in kept.body


@pytest.mark.slow
def test_ablation_runs_and_draws(sectioned: Evals) -> None:
    options = ("--solver", "oracle", "--epochs", "2", "--clause", "always", "--picture", "p.svg")
    done = sectioned("ablate", "--agent", "toy", *options)
    assert "always" in done.stdout
    assert "not known: too few epochs" in done.stdout
    assert (sectioned.folder / "p.svg").read_text().startswith("<?xml")


def test_ablation_needs_clauses(evals: Evals, sectioned: Evals) -> None:
    said = sectioned("ablate", "--agent", "toy", "--clause", "nothing", status=2).stderr
    assert "--clause: found 'nothing'; toy has: always" in said
    assert "wanted" not in said
    (evals.folder / "agents" / "toy.md").write_text(PROMPT[: PROMPT.index("Always")])
    assert "it is one paragraph" in evals("ablate", "--agent", "toy", "--list", status=2).stderr


# run --against


@pytest.mark.slow
def test_epochs_are_added_until_the_verdict_is_clear(evals: Evals, record: Record, solution: dict[str, bytes]) -> None:
    broken = {path: data.replace(b'"secret"', b'"nothing"') for path, data in solution.items()}
    for epoch in range(1, 8):
        record(solution, epoch=epoch)
        files = broken if epoch % 4 else solution
        record({**files, "app/note.py": f"EPOCH = {epoch}\n".encode()}, epoch=epoch, agent="toy:terse")
    options = ("--against", "toy", "--until-verdict", "--max-epochs", "7")
    done = evals("run", "--agent", "toy:terse", *options, "--metric", "dimension:validation", status=1)
    assert "after 3 of at most 7 epochs: inconclusive" in done.stderr
    assert "regressed: toy -> toy:terse" in done.stdout
    assert "since the verdict is clear" in done.stdout
    again = evals("run", "--agent", "toy:terse", *options, "--metric", "dimension:validation", "--json", status=1)
    found = json.loads(again.stdout)
    assert found["ran"] == 0
    assert found["verdict"] == "regressed"


@pytest.mark.slow
def test_what_the_base_has_is_reused_and_the_budget_holds(
    evals: Evals, record: Record, solution: dict[str, bytes]
) -> None:
    for epoch in range(1, 6):
        record(solution, epoch=epoch, cost=1.0)
        record({**solution, "app/note.py": f"EPOCH = {epoch}\n".encode()}, epoch=epoch, agent="toy:terse", cost=1.0)
    evals("run", "--agent", "toy", "--epochs", "3")
    options = ("--against", "toy", "--until-verdict", "--max-epochs", "5", "--max-cost", "4.5")
    found = json.loads(evals("run", "--agent", "toy:terse", *options, "--json").stdout)
    # Three of the head are run for the first look; two more, for the second, would pass the budget.
    assert found["ran"] == 3
    assert found["epochs"] == 3
    assert found["ended"].startswith("the budget is spent: $3.00 so far, about $2.00")
    assert found["verdict"] == "inconclusive"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--until-verdict",), "needs --against BASE"),
        (("--against", "toy"), "are the same revision"),
        (("--against", "toy:terse", "--dry-run"), "`evals plan` says what a comparison takes"),
        (("--against", "toy:terse"), "has nothing of one of the revisions for echo"),
    ],
)
def test_wrong_calls_of_against_are_told(evals: Evals, options: tuple[str, ...], says: str) -> None:
    assert says in evals("run", "--agent", "toy", *options, status=2).stderr


@pytest.mark.slow
def test_recordings_of_two_kinds_are_never_mixed(evals: Evals, record: Record, solution: dict[str, bytes]) -> None:
    poor = {**solution, "app/main.py": solution["app/main.py"].replace(b"422", b"418")}
    for agent, files in (("toy", solution), ("toy:terse", poor)):
        record(files, agent=agent)
        record(files, agent=agent, kind="single-shot")
    told = evals("run", "--agent", "toy", "--solver", "recorded").stderr
    assert "recordings of kind agent: agents that ran and mended their work" in told
    assert "1 of 1" not in told
    for agent in ("toy", "toy:terse"):
        evals("run", "--agent", agent, "--solver", "recorded")
    once = evals("run", "--agent", "toy", "--solver", "recorded", "--kind", "single-shot").stderr
    assert "recordings of kind single-shot: one answer, nothing run" in once
    evals("run", "--agent", "toy:terse", "--solver", "recorded", "--kind", "single-shot")
    assert "choose with --solver, --kind" in evals("compare", "toy", "toy:terse", status=2).stderr
    found = json.loads(evals("compare", "toy", "toy:terse", "--kind", "single-shot", "--json", status=None).stdout)
    assert found[0]["settings"]["kind"] == "single-shot"
    assert (
        "found 'both'; there are: agent, single-shot"
        in evals("run", "--agent", "toy", "--kind", "both", status=2).stderr
    )
    assert (
        "goes with --solver recorded"
        in evals("run", "--agent", "toy", "--solver", "oracle", "--kind", "agent", status=2).stderr
    )
