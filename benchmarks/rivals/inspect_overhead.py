"""Milliseconds a sample under Inspect AI: python inspect_overhead.py SAMPLES (none | local). Prints a number."""

import sys
import tempfile
import time

from inspect_ai import Task, eval
from inspect_ai.dataset import Sample
from inspect_ai.scorer import CORRECT, Score, Target, mean, scorer
from inspect_ai.solver import Generate, TaskState, solver
from inspect_ai.util import sandbox


@solver
def nothing(*, command: bool):
    async def solve(state: TaskState, generate: Generate) -> TaskState:
        if command:
            await sandbox().exec(["true"])
        return state

    return solve


@scorer(metrics=[mean()])
def given():
    async def score(state: TaskState, target: Target) -> Score:
        return Score(value=CORRECT, explanation="given")

    return score


def main() -> None:
    samples, kind = int(sys.argv[1]), sys.argv[2]
    task = Task(
        dataset=[Sample(input="a question", target="an answer") for _ in range(samples)],
        solver=nothing(command=kind == "local"),
        scorer=given(),
        sandbox="local" if kind == "local" else None,
    )
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        logs = eval(task, model="mockllm/model", log_dir=folder, display="none")
        took = time.perf_counter() - began
    assert logs[0].status == "success"
    print(1000 * took / samples)


if __name__ == "__main__":
    main()
