"""Trials as logs of Inspect AI, written by its own library: `inspect view` lists them, `read_eval_log` opens them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import evals
from evals.errors import EnvironmentFault
from evals.reports.terminal import printable
from evals.store import Trial

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog, EvalSample

Events = Callable[[Trial], Sequence[Mapping[str, Any]]]


def write(trials: Sequence[Trial], folder: Path, events: Events) -> list[Path]:
    """A log for each task, stack and settings; `EnvironmentFault` where Inspect is not installed."""
    try:
        from inspect_ai.log import write_eval_log
    except ImportError:
        raise EnvironmentFault("--to inspect: needs inspect-ai; pip install 'evals[inspect]'") from None
    groups: dict[tuple[Any, ...], list[Trial]] = {}
    for trial in trials:
        key = trial.key
        groups.setdefault((key.task, key.stack, key.solver, key.model, key.revision), []).append(trial)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for found in groups.values():
        log = _log(found, events)
        path = folder / _file_name(log)
        write_eval_log(log, str(path), format="eval")
        paths.append(path)
    return paths


def _file_name(log: EvalLog) -> str:
    """Inspect takes a name apart at its underscores: a time, a task, an id."""
    moment = re.sub(r"[:.]", "-", log.eval.created)
    return f"{moment}_{log.eval.task.replace('_', '-')}_{log.eval.task_id}.eval"


def _log(trials: Sequence[Trial], events: Events) -> EvalLog:
    from inspect_ai.log import EvalConfig, EvalDataset, EvalLog, EvalPlan, EvalPlanStep, EvalSpec, EvalStats

    first = trials[0]
    key = first.key
    spec = EvalSpec(
        created=first.document["started_at"],
        task=f"{key.task}-{key.stack}",
        task_id=first.document["id"],
        run_id=first.document["id"],
        task_version=first.document["digests"]["task"][:12],
        dataset=EvalDataset(name=key.task, samples=1, sample_ids=[key.task]),
        model=f"anthropic/{key.model}" if key.model else f"none/{key.solver}",
        config=EvalConfig(epochs=max(trial.key.epoch for trial in trials)),
        packages={"evals": evals.__version__},
        metadata={"agent": key.agent, "variant": key.variant, "revision": key.revision, "solver": key.solver},
    )
    return EvalLog(
        status="success",
        eval=spec,
        plan=EvalPlan(steps=[EvalPlanStep(solver=key.solver, params={"settings": key.settings})]),
        results=_results(trials),
        stats=EvalStats(started_at=first.document["started_at"], completed_at=trials[-1].document["finished_at"]),
        samples=[_sample(trial, events(trial)) for trial in trials],
    )


def _results(trials: Sequence[Trial]) -> Any:
    from inspect_ai.log import EvalMetric, EvalResults, EvalScore

    scored = [trial for trial in trials if trial.fault is None]
    names = list(dict.fromkeys(name for trial in scored for name in trial.scores))
    means = {name: sum(trial.scores[name]["value"] for trial in scored) / len(scored) for name in names}
    return EvalResults(
        total_samples=len(trials),
        completed_samples=len(scored),
        scores=[
            EvalScore(name=name, scorer=name, metrics={"mean": EvalMetric(name="mean", value=mean)})
            for name, mean in means.items()
        ],
    )


def _sample(trial: Trial, events: Sequence[Mapping[str, Any]]) -> EvalSample:
    from inspect_ai.log import EvalError, EvalSample

    document = trial.document
    asked = next((event["user"] for event in events if event["event"] == "begin"), trial.key.task)
    error = None
    if trial.fault is not None:
        reason = printable(f"{trial.fault['stage']}: {trial.fault['reason']}")
        error = EvalError(message=reason, traceback="", traceback_ansi="")
    return EvalSample(
        id=trial.key.task,
        epoch=trial.key.epoch,
        input=printable(asked),
        target="every check passes",
        messages=_messages(events),
        scores={score["name"]: _score(score) for score in document["scores"]} or None,
        metadata={
            "trial": document["id"],
            "composite": document["composite"],
            "ended": (document["solution"] or {}).get("ended"),
            "cost_usd": trial.cost_usd,
            "attacks": document["attacks"],
        },
        error=error,
        started_at=document["started_at"],
        completed_at=document["finished_at"],
        total_time=sum(document["timings"].values()),
        uuid=document["id"],
    )


def _score(score: Mapping[str, Any]) -> Any:
    from inspect_ai.scorer import Score

    return Score(value=score["value"], explanation=printable(score["reason"]), metadata=score["details"])


def _messages(events: Sequence[Mapping[str, Any]]) -> list[Any]:
    from inspect_ai.model import ChatMessageSystem, ChatMessageTool, ChatMessageUser

    found: list[Any] = []
    for event in events:
        if event["event"] == "begin":
            found.append(ChatMessageSystem(content=printable(event["system"])))
            found.append(ChatMessageUser(content=printable(event["user"])))
        elif event["event"] == "assistant":
            found.append(_answer(event))
        elif event["event"] == "tool":
            content = printable(event["output"])
            found.append(ChatMessageTool(content=content, tool_call_id=event["id"], function=event["name"]))
    return found


def _answer(event: Mapping[str, Any]) -> Any:
    from inspect_ai.model import ChatMessageAssistant
    from inspect_ai.tool import ToolCall

    blocks = event["content"]
    calls = [
        ToolCall(
            id=block["id"],
            function=block["name"],
            arguments=block["input"] if isinstance(block["input"], dict) else {"input": block["input"]},
        )
        for block in blocks
        if block["type"] == "tool_use"
    ]
    said = "".join(block["text"] for block in blocks if block["type"] == "text")
    return ChatMessageAssistant(content=printable(said), tool_calls=calls or None, model=event.get("model"))
