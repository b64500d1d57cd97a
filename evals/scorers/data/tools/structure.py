"""Complexity, length and duplication of the delivery's code, by lizard; writes /results/structure.json.

Runs in a sandbox with the environment `measures` and only reads the workspace.
"""

import json
from pathlib import Path

import lizard
from lizard_ext.lizardduplicate import LizardExtension as Duplicates

ROOT = Path("/workspace")


def is_code(path: Path) -> bool:
    """Python that is not of the tests."""
    tests = "tests" in path.parts or path.name.startswith("test_") or path.name == "conftest.py"
    return not tests and not any(part.startswith(".") for part in path.parts)


def main() -> None:
    """Every function's lines of code and complexity, and the share of tokens that stand twice."""
    paths = [str(path) for path in sorted(ROOT.rglob("*.py")) if is_code(path.relative_to(ROOT))]
    duplicates = Duplicates()
    extensions = [*lizard.get_extensions([]), duplicates]
    functions, lines = [], 0
    for found in lizard.analyze_files(paths, exts=extensions):
        lines += found.nloc
        for function in found.function_list:
            place = f"{found.filename.removeprefix('/workspace/')}:{function.start_line}"
            row = {"place": place, "name": function.name, "lines": function.nloc}
            functions.append({**row, "complexity": function.cyclomatic_complexity})
    list(duplicates.get_duplicates())
    result = {"lines": lines, "functions": functions, "duplicated": duplicates.duplicate_rate()}
    Path("/results/structure.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main()
