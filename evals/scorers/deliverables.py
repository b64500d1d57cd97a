"""Deliverables: what the prompt says is always handed over, read from the files as text.

Six facts, each a sixth of the value: no unfinished mark, no stub, an example configuration,
implementation notes, no secret, no junk.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from evals.environments import Environments
from evals.scorers import density
from evals.types import Delivery, Sandbox, Score, Scored

_MARK = re.compile(r"\b(TODO|FIXME|XXX|HACK|WIP)\b")
_EXAMPLE = re.compile(
    r"(^|/)(\.?env[._-](example|sample|template)|.*\.(example|sample)(\.\w+)?|example[._-].*)$", re.IGNORECASE
)
_CONFIG_FOLDER = re.compile(
    r"^(config|configs|deploy|env|environments)/.+\.(env|toml|ya?ml|ini|example)$", re.IGNORECASE
)
_NOTES = re.compile(
    r"(^|/)(README|NOTES|IMPLEMENTATION[\w-]*|DECISIONS|ASSUMPTIONS)(\.\w+)?$|^docs/.+\.(md|rst)$", re.IGNORECASE
)
_JUNK = re.compile(
    r"\.(pyc|pyo|log|db|sqlite3?|db-wal|db-shm|bak|orig|rej|swp|tmp)$|(^|/)(\.DS_Store|nohup\.out|\.env)$"
)
_SECRETS = {
    "a private key": re.compile(rb"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----\s*[A-Za-z0-9+/=\s]{64,}"),
    "an AWS access key": re.compile(rb"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
    "an API key": re.compile(rb"\b(?:sk-[A-Za-z]+-|ghp_|gho_|xox[bp]-|glpat-)[A-Za-z0-9_-]{20,}"),
    "a signed token": re.compile(rb"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{20,}"),
}
_NOTES_CHARACTERS = 200
_STUB_BASES = {"Protocol", "ABC"}
_STUB_DECORATORS = {"abstractmethod", "overload"}


def unfinished_marks(files: Mapping[str, bytes]) -> Iterator[str]:
    """Comments of Python files that hold TODO, FIXME, XXX, HACK or WIP."""
    for path, data in density.python_files(files).items():
        try:
            tokens = list(tokenize.tokenize(io.BytesIO(data).readline))
        except (tokenize.TokenError, SyntaxError, ValueError, UnicodeDecodeError):
            continue
        for token in tokens:
            if token.type == tokenize.COMMENT and _MARK.search(token.string):
                yield f"{path}:{token.start[0]}: {token.string.strip()[:100]}"


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Subscript):
        return _name(node.value)
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _is_placeholder(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Pass):
        return True
    if isinstance(statement, ast.Raise):
        raised = statement.exc.func if isinstance(statement.exc, ast.Call) else statement.exc
        return raised is not None and _name(raised) == "NotImplementedError"
    value = statement.value if isinstance(statement, ast.Expr) else None
    return isinstance(value, ast.Constant) and (value.value is Ellipsis or isinstance(value.value, str))


def _stub_functions(tree: ast.AST, *, allowed: bool) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.iter_child_nodes(tree):
        inside = allowed
        if isinstance(node, ast.ClassDef):
            names = {_name(base) for base in node.bases}
            inside = bool(names & _STUB_BASES) or any(name.endswith(("Error", "Exception")) for name in names)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            abstract = any(_name(d) in _STUB_DECORATORS for d in node.decorator_list)
            body = [s for s in node.body if not _is_docstring(s)] or node.body
            if not allowed and not abstract and all(_is_placeholder(s) for s in body) and not _is_hook(node):
                yield node
        yield from _stub_functions(node, allowed=inside)


def _is_docstring(statement: ast.stmt) -> bool:
    value = statement.value if isinstance(statement, ast.Expr) else None
    return isinstance(value, ast.Constant) and isinstance(value.value, str)


def _is_hook(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Empty on purpose: `__init__` and its like, and overrides that silence a base class."""
    return node.name.startswith("__") or node.name.startswith("log_") or node.name == "close"


def stubs(files: Mapping[str, bytes]) -> Iterator[str]:
    """Functions outside the tests whose body is only `pass`, `...` or `raise NotImplementedError`."""
    for path, data in density.python_files(files).items():
        if density.is_test(path):
            continue
        try:
            tree = ast.parse(data)
            found = list(_stub_functions(tree, allowed=False))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        yield from (f"{path}:{node.lineno}: {node.name}" for node in found)


def examples(files: Mapping[str, bytes]) -> list[str]:
    """Files that look like an example configuration."""
    return [path for path in files if _EXAMPLE.search(path) or _CONFIG_FOLDER.search(path)]


def notes(files: Mapping[str, bytes]) -> list[str]:
    """Files that look like implementation notes and hold more than a heading."""
    return [path for path, data in files.items() if _NOTES.search(path) and len(data.strip()) >= _NOTES_CHARACTERS]


def secrets(files: Mapping[str, bytes]) -> Iterator[str]:
    """Key material in files outside the tests."""
    for path, data in files.items():
        if not density.is_test(path):
            yield from (f"{path}: {what}" for what, pattern in _SECRETS.items() if pattern.search(data))


def junk(files: Mapping[str, bytes]) -> list[str]:
    """Files that a run leaves behind, and real `.env` files."""
    return [path for path in files if _JUNK.search(path)]


def facts(files: Mapping[str, bytes]) -> dict[str, tuple[bool, list[str]]]:
    """Each fact, whether it holds, and what was found for or against it."""
    bad = {
        "no unfinished mark": list(unfinished_marks(files)),
        "no stub": list(stubs(files)),
        "no secret": list(secrets(files)),
        "no junk": junk(files),
    }
    good = {"an example configuration": examples(files), "implementation notes": notes(files)}
    return {name: (not found, found) for name, found in bad.items()} | {
        name: (bool(found), found) for name, found in good.items()
    }


@dataclass(frozen=True, kw_only=True)
class Deliverables:
    """The scorer `deliverables`. A delivery without code has delivered nothing, and gets 0."""

    name: str = "deliverables"
    gives: tuple[str, ...] = ("deliverables",)
    background: bool = True

    def prepare(self) -> None:
        """Nothing to install."""

    async def score(self, delivery: Delivery, sandbox: Sandbox) -> Scored:
        """Read the files; nothing is run."""
        del sandbox
        if density.code_lines(delivery.files) == 0:
            return Scored(scores=(Score(name=self.name, value=0.0, reason="there is no code"),))
        found = facts(delivery.files)
        missed = [name for name, (holds, _) in found.items() if not holds]
        score = Score(
            name=self.name,
            value=1 - len(missed) / len(found),
            reason=f"not met: {', '.join(missed)}" if missed else "all met",
            details={name: {"met": holds, "found": items[:20]} for name, (holds, items) in found.items()},
        )
        return Scored(scores=(score,))


def create(environments: Environments) -> Deliverables:
    """The scorer."""
    del environments
    return Deliverables()
