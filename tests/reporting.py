"""A store with two revisions' trials, as a report is made from: failures, faults, and an agent that is hostile."""

from pathlib import Path
from typing import Any

from evals.store import Key, Store
from tests import stored

HOSTILE = "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">\x1b[31m\ud800"
BASE, HEAD = "a" * 64, "b" * 64
BASE_RUN, HEAD_RUN = "20260101-000000-aaaa", "20260101-000000-bbbb"


def fill(reports: Path, *, epochs: int = 6) -> None:
    """Two tasks; the head fails a check of one of them in every second epoch, and its last epoch is a fault."""
    with Store(reports) as store:
        for revision in (BASE, HEAD):
            for task in ("echo", "other"):
                for epoch in range(1, epochs + 1):
                    _add(store, revision, task, epoch, last=epoch == epochs)
    stored.add_run(reports, BASE_RUN, BASE)
    stored.add_run(reports, HEAD_RUN, HEAD)


def _add(store: Store, revision: str, task: str, epoch: int, *, last: bool) -> None:
    key = Key(
        agent="toy",
        variant=None if revision == BASE else "terse",
        revision=revision,
        task=task,
        stack="python-fastapi",
        solver="live",
        kind="agent",
        model="m",
        epoch=epoch,
    )
    fails = revision == HEAD and task == "echo" and epoch % 2
    document = stored.document(key, 2 if fails else 3, {})
    failed = document["scores"][0]["details"]["checks"][2]
    if fails:
        failed.update(expected=HOSTILE, came=f"GET /echo -> 500 {HOSTILE}")
    files = {"app/main.py": f"x = {epoch}\n# {HOSTILE}\n".encode("utf-8", "replace"), f"{HOSTILE[:40]}.py": b"y = 1\n"}
    digest, _ = store.add_workspace(files)
    change: dict[str, Any] = {"workspace": {"digest": digest, "files": {path: len(d) for path, d in files.items()}}}
    change["spelled"] = "toy" if revision == BASE else "toy:terse"
    change["attacks"] = [HOSTILE] if fails else []
    if last and revision == HEAD:
        change.update(stored.FAULT, fault={"stage": "solve", "reason": HOSTILE})
    for name in ("own_tests", "coverage", "types", "deliverables"):
        if not (last and revision == HEAD):
            document["scores"].append({"name": name, "value": 0.9, "reason": HOSTILE, "details": {}})
    store.add_trial(key, {**document, **change}, {"service": f"log {HOSTILE}\n"})
