"""Runs a task's load against a service: `main` reads its settings from the first argument (JSON).

Settings: `load` (the folder of `load.py`), `seed`, `env` (the service's usual environment), `many_clients`, `threads`,
`report`. A load is a function `load(service, data)` that returns the calls to make; each returns whether it succeeded.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from evals.arena.kit.channel import Channel
from evals.arena.kit.data import Data
from evals.arena.kit.expect import Errors, Unmet
from evals.arena.kit.mail import Mail
from evals.arena.kit.run import CONTROL_SOCKET
from evals.arena.kit.service import Clients, Service, Start

_WARM_UP_SHARE = 0.1

Call = Callable[[], bool]


def calls_of(folder: str, service: Service, data: Data) -> list[Call]:
    """The calls that a task's load makes."""
    spec = importlib.util.spec_from_file_location("load", Path(folder) / "load.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    calls: list[Call] = module.load(service, data)
    return calls


def timed(call: Call) -> tuple[float, bool]:
    """How long a call took, and whether it succeeded."""
    began = time.perf_counter()
    try:
        succeeded = call()
    except (httpx.HTTPError, Unmet):
        succeeded = False
    return time.perf_counter() - began, succeeded


def measured(service: Service, calls: list[Call], threads: int) -> dict[str, object]:
    """Make all calls, so many at a time; those of the warm-up are not counted."""
    warm = calls[: int(len(calls) * _WARM_UP_SHARE)]
    with ThreadPoolExecutor(max_workers=threads) as pool:
        list(pool.map(timed, warm))
        began = time.perf_counter()
        found = list(pool.map(timed, calls[len(warm) :]))
        seconds = time.perf_counter() - began
    return {
        "seconds": seconds,
        "calls": len(found),
        "failed": sum(1 for _, succeeded in found if not succeeded),
        "latencies": sorted(took for took, _ in found),
        "peak_memory": service.state()["peak_memory"],
    }


def main() -> None:
    """Start the service, measure it, and write the report."""
    settings = json.loads(sys.argv[1])
    Errors.any_json, Clients.many = True, settings["many_clients"]
    channel = Channel(CONTROL_SOCKET)
    Mail(channel)  # so that a service that sends mails finds somebody
    try:
        service = Start(channel, settings["env"])()
        calls = calls_of(settings["load"], service, Data(settings["seed"], "load"))
        report = measured(service, calls, settings["threads"])
    except Unmet as unmet:
        report = {"unmet": f"expected {unmet.expected}; came {unmet.came}"[:2000]}
    Path(settings["report"]).write_text(json.dumps(report))
