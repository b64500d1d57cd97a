"""How long a report of many trials takes to write, to open and to filter: python benchmarks/report.py [EPOCHS]."""

import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from evals.store import Key, Store
from tests import stored

TASKS, CHECKS = ("alpha", "beta", "gamma"), 60
REVISIONS = {"20260101-000000-aaaa": "a" * 64, "20260101-000000-bbbb": "b" * 64}


def checks() -> list[dict]:
    """One trial's checks, one in twenty failed."""
    found = [stored.check(f"test_check_{n:02}", passed=random.random() < 0.95) for n in range(CHECKS)]
    for check in found:
        if check["outcome"] != "passed":
            check.update(expected="status 201", came="POST /x -> 500 " + "x" * 400)
    return found


def fill(reports: Path, epochs: int) -> None:
    """Both revisions' trials."""
    with Store(reports) as store:
        for revision in REVISIONS.values():
            for task in TASKS:
                for epoch in range(1, epochs + 1):
                    key = Key(
                        agent="toy",
                        variant=None,
                        revision=revision,
                        task=task,
                        stack="python-fastapi",
                        solver="live",
                        kind="agent",
                        model="m",
                        epoch=epoch,
                    )
                    document = stored.document(key, 3, {})
                    document["scores"][0]["details"]["checks"] = checks()
                    document["scores"] += [
                        {"name": name, "value": 0.9, "reason": "", "details": {}}
                        for name in ("own_tests", "coverage", "types", "deliverables")
                    ]
                    store.add_trial(key, document, {"service": "started\n" * 50})
    for name, revision in REVISIONS.items():
        stored.add_run(reports, name, revision)


def timed(label: str, *command: str, folder: Path) -> None:
    """Run a command and print its time."""
    began = time.monotonic()
    subprocess.run(
        [sys.executable, "-c", "from evals.cli import main; main()", *command],
        cwd=folder,
        check=False,
        stdout=subprocess.DEVNULL,
    )
    print(f"{label}: {time.monotonic() - began:.1f} s")


def browse(page: Path) -> None:
    """Open and filter the page, where there is a browser."""
    import shutil

    chromium = shutil.which("chromium")
    if chromium is None:
        print("no chromium: the page was not opened")
        return
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        opened = browser.new_page()
        for label, act in (
            ("open", lambda: opened.goto(f"file://{page}")),
            ("filter", lambda: opened.fill("#find", "14")),
        ):
            began = time.monotonic()
            act()
            opened.evaluate("new Promise(done => requestAnimationFrame(() => setTimeout(done, 0)))")
            print(f"{label}: {time.monotonic() - began:.2f} s")
        browser.close()


def main() -> None:
    """3,000 trials unless said otherwise."""
    epochs = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    random.seed(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fill(folder / "reports", epochs)
        print(f"{epochs * len(TASKS) * len(REVISIONS)} trials of {CHECKS} checks")
        timed("compare", "compare", *REVISIONS, "--write", "kept", folder=folder)
        timed("report", "report", "kept", "--to", "out", folder=folder)
        page = folder / "out" / "index.html"
        print(f"index.html: {page.stat().st_size / 1000:.0f} kB")
        browse(page)


if __name__ == "__main__":
    main()
