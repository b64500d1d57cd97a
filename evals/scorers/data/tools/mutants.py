"""Samples mutants of the delivery's code: `mutants.py SEED COUNT`; writes /results/mutants.json.

Runs in a sandbox with the environment `measures` and only reads the workspace.
"""

import json
import random
import sys
from pathlib import Path
from typing import Any

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

LEFT_OUT = ("Variable", "BitOr", "BitAnd", "BitXor", "Shift", "Pow", "UnaryOperator_Invert", "UnaryOperator_UAdd")
"""Operators that make what no test could notice (annotations `A | B`), or what no code of this kind holds."""

LARGEST_FILE = 400_000


def is_code(path: Path) -> bool:
    """Python that is not of the tests."""
    names = (*path.parts, path.name)
    tests = "tests" in names or path.name.startswith("test_") or path.name == "conftest.py"
    return not tests and not any(part.startswith(".") for part in path.parts)


def operators() -> dict[str, Any]:
    """The operators in use, by name."""
    found = {}
    for name in sorted(operator_names()):
        if not any(part in name for part in LEFT_OUT):
            found[name] = get_operator(name)()
    return found


def places(source: str, known: dict[str, Any]) -> dict[Any, list[tuple[str, int]]]:
    """For each place (line, column, family of operators) its mutations: (operator, occurrence)."""
    found: dict[Any, list[tuple[str, int]]] = {}
    counts = dict.fromkeys(known, 0)
    for node in ast_nodes(get_ast(source)):
        for name, operator in known.items():
            for start, _end in operator.mutation_positions(node):
                family = name.rpartition("/")[2].split("_")[0]
                found.setdefault((*start, family), []).append((name, counts[name]))
                counts[name] += 1
    return found


def made(source: str, operator: object, occurrence: int) -> str | None:
    """The mutated source, or None where the operator cannot be applied or what it makes is no Python."""
    try:
        mutated: str | None = mutate_code(source, operator, occurrence)
        compile(mutated or "", "mutant", "exec")
    except Exception:  # noqa: BLE001 (whatever an operator stumbles over: there are other places)
        return None
    return mutated


def sample(root: Path, seed: str, count: int) -> list[dict[str, Any]]:
    """At most `count` mutants, spread over all places alike; the same for the same seed and files."""
    known, chosen = operators(), random.Random(seed)  # noqa: S311 (repeatable on purpose)
    spots = []
    for path in sorted(root.rglob("*.py")):
        relative = path.relative_to(root)
        if not is_code(relative) or path.is_symlink() or path.stat().st_size > LARGEST_FILE:
            continue
        try:
            source = path.read_text("utf-8")
            spots += [(str(relative), source, place, found) for place, found in places(source, known).items()]
        except (UnicodeDecodeError, RecursionError, ValueError):
            continue  # no code that could be run
    chosen.shuffle(spots)
    mutants = []
    for file, source, place, found in spots:
        name, occurrence = chosen.choice(found)
        mutated = made(source, known[name], occurrence)
        if mutated is not None and mutated != source:
            mutants.append({"file": file, "line": place[0], "operator": name.rpartition("/")[2], "source": mutated})
        if len(mutants) == count:
            break
    return mutants


if __name__ == "__main__":
    found = sample(Path("/workspace"), sys.argv[1], int(sys.argv[2]))
    Path("/results/mutants.json").write_text(json.dumps(found))
