"""How a count of findings becomes a score: by findings per 100 lines of code.

    value = max(0, 1 - findings_per_100_lines / 5)

No finding is 1; five or more per 100 lines is 0. Lines are those that are neither blank nor comments.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath

ZERO_AT = 5.0
"""Findings per 100 lines at which the value reaches 0."""


def python_files(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The delivery's Python files."""
    return {path: data for path, data in files.items() if path.endswith(".py")}


def is_test(path: str) -> bool:
    """Whether a file belongs to the delivery's tests."""
    parts = PurePosixPath(path)
    return "tests" in parts.parts or parts.name.startswith("test_") or parts.name == "conftest.py"


def code_lines(files: Mapping[str, bytes]) -> int:
    """Lines of Python that are neither blank nor only a comment."""
    lines = [line.strip() for data in python_files(files).values() for line in data.splitlines()]
    return sum(1 for line in lines if line and not line.startswith(b"#"))


def value(findings: int, lines: int) -> float:
    """The score of a number of findings in a number of lines; 0 where there is no code."""
    if lines == 0:
        return 0.0
    return max(0.0, 1.0 - findings * 100 / lines / ZERO_AT)
