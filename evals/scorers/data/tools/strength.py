"""Runs the delivery's own tests on each mutant: `strength.py SECONDS OPTION...`; writes /results/strength.json.

Outcomes of a mutant: `noticed` (tests failed, or took far longer), `missed` (they passed), `uncovered` (its line is
never run, so no test can fail). Runs in a sandbox with the stack's packages; every run of the tests is a process.
"""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

SLOWER = 4.0
MUTANTS = Path("/tool/mutants.json")
COVERAGE = Path("/results/coverage.json")


def run(command: list[str], seconds: float) -> int:
    """The exit status, or 1 where time runs out."""
    try:
        return subprocess.run(command, timeout=seconds, capture_output=True, check=False).returncode
    except subprocess.TimeoutExpired:
        return 1


def covered() -> dict[str, set[int]]:
    """Lines that the tests run, by file."""
    try:
        files = json.loads(COVERAGE.read_text())["files"]
    except (OSError, ValueError, KeyError):
        return {}
    return {path: set(found["executed_lines"]) for path, found in files.items()}


def main() -> None:
    """The baseline, then mutant after mutant until time is up."""
    deadline = time.monotonic() + float(sys.argv[1])
    pytest = ["-m", "pytest", "-x", *sys.argv[2:]]
    coverage = [sys.executable, "-m", "coverage"]
    began = time.monotonic()
    status = run([*coverage, "run", "--rcfile=/tool/coveragerc", *pytest], float(sys.argv[1]))
    baseline = time.monotonic() - began
    result: dict[str, Any] = {"baseline": status, "baseline_seconds": round(baseline, 2), "mutants": []}
    if status == 0:
        run([*coverage, "combine", "--rcfile=/tool/coveragerc", "-q"], 60)
        run([*coverage, "json", "--rcfile=/tool/coveragerc", "-q", "-o", str(COVERAGE)], 60)
        lines = covered()
        for mutant in json.loads(MUTANTS.read_text()):
            if time.monotonic() + baseline > deadline:
                break
            outcome = "uncovered"
            if mutant["line"] in lines.get(mutant["file"], ()):
                path = Path(mutant["file"])
                original = path.read_bytes()
                path.write_text(mutant["source"], "utf-8")
                status = run([sys.executable, *pytest], SLOWER * baseline + 5)
                path.write_bytes(original)
                outcome = "missed" if status == 0 else "noticed"
            result["mutants"].append({k: mutant[k] for k in ("file", "line", "operator")} | {"outcome": outcome})
    Path("/results/strength.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main()
