# Install for development.
setup:
    python3 -m venv .venv
    .venv/bin/pip install -q -e '.[dev]'

# Everything that CI checks but the tests.
check:
    .venv/bin/ruff check .
    .venv/bin/ruff format --check .
    .venv/bin/mypy
    .venv/bin/lint-imports

# The tests; `just test -m slow` grades every reference solution and recording.
test *arguments:
    .venv/bin/pytest {{arguments}}

# Mend what can be mended.
fix:
    .venv/bin/ruff check --fix .
    .venv/bin/ruff format .

# Grade the recordings.
demo:
    .venv/bin/evals run --agent backend-implementation-engineer

# Resolve anew what CI installs; look for known vulnerabilities in it; write its bills of materials. Needs .ci/tools.in.
supply:
    .ci/lock
    .ci/audit
    .ci/sbom

# What a trial and grading cost, and what `kill -9` leaves.
bench:
    .venv/bin/python benchmarks/overhead.py
    .venv/bin/python benchmarks/grading.py floor
    .venv/bin/python benchmarks/grading.py throughput
    .venv/bin/python benchmarks/kill.py
