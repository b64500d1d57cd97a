"""`evals init`, `evals new`: a repository, and parts of one, to begin with. Nothing that is there is overwritten."""

from __future__ import annotations

import re
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from evals import graders, plugins
from evals.catalog import agents, tasks
from evals.errors import EnvironmentFault, InputError

_NAME = re.compile(r"\A[A-Za-z0-9][\w-]{0,99}\Z")
_TEMPLATE = ".txt"


def _skeleton() -> Traversable:
    return resources.files("evals").joinpath("skeleton")


def _check(name: str) -> None:
    if not _NAME.match(name):
        raise InputError(f"{name!r}: is no name; wanted letters, digits, - and _")


def _write(path: Path, text: str) -> bool:
    """Whether the file was made: one that is there stays."""
    if path.exists():
        return False
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    except OSError as error:
        raise EnvironmentFault(f"cannot write {path}: {error.strerror}") from None
    return True


def init(root: Path, name: str) -> list[tuple[Path, bool]]:
    """An agent, a task, defaults and workflows; each file, and whether it was made."""
    _check(name)
    skeleton = _skeleton()
    texts = {
        Path("evals.toml"): skeleton.joinpath("evals.toml.txt").read_text("utf-8"),
        Path("agents") / f"{name}.md": _agent_text(name),
    }
    for template in sorted(skeleton.joinpath("workflows").iterdir(), key=lambda found: found.name):
        texts[Path(".github/workflows") / template.name.removesuffix(_TEMPLATE)] = template.read_text("utf-8")
    found = [(root / path, _write(root / path, text)) for path, text in texts.items()]
    if not tasks.names(root):
        found += [(path, True) for path in task(root, "echo")]
    return [*found, _ignored(root)]


def _ignored(root: Path) -> tuple[Path, bool]:
    """What runs write is not for git."""
    path = root / ".gitignore"
    lines = path.read_text("utf-8").splitlines() if path.is_file() else []
    if "/reports/" in lines:
        return path, False
    path.write_text("\n".join([*lines, "/reports/", "/evals-report/"]) + "\n", "utf-8")
    return path, True


def _agent_text(name: str) -> str:
    return _skeleton().joinpath("agent.md.txt").read_text("utf-8").replace("NAME", name)


def agent(root: Path, spelled: str) -> Path:
    """A new agent, or a variant that begins as the agent's own prompt."""
    name, colon, variant = spelled.partition(":")
    _check(name)
    if colon:
        _check(variant)
        path = root / "agents" / "variants" / f"{name}.{variant}.md"
        text = agents.read(name, root).data.decode("utf-8", "replace")
    else:
        path, text = root / "agents" / f"{name}.md", _agent_text(name)
    if not _write(path, text):
        raise InputError(f"{path}: is there already")
    return path


def scorer(root: Path, name: str) -> Path:
    """A new scorer of the project's own, which works: the share of functions with a docstring."""
    _check(name)
    module = name.replace("-", "_").lower()
    if module in plugins.names("scorers"):
        raise InputError(f"{name!r}: is a scorer of evals already; choose another name")
    path = graders.folder(root) / f"{module}.py"
    text = _skeleton().joinpath("scorer.py.txt").read_text("utf-8").replace("NAME", module)
    if not _write(path, text):
        raise InputError(f"{path}: is there already")
    return path


def task(root: Path, name: str) -> list[Path]:
    """A new task that is whole: the reference solution passes its checks, and a delivery of nothing passes none."""
    _check(name)
    folder = tasks.folder(root) / name
    if folder.exists():
        raise InputError(f"{folder}: is there already")
    texts = {
        path: text.replace("evals/NAME", f"evals/{name}").replace("grade NAME", f"grade {name}")
        for path, text in _tree(_skeleton().joinpath("task"), "")
    }
    stack = resources.files("evals.stacks").joinpath("data", "python-fastapi.requirements.txt")
    texts["environment/requirements.txt"] = stack.read_text("utf-8")
    paths = [folder / path for path in sorted(texts)]
    for path in sorted(texts):
        _write(folder / path, texts[path])
    return paths


def _tree(folder: Traversable, above: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for entry in folder.iterdir():
        if entry.is_dir():
            found += _tree(entry, f"{above}{entry.name}/")
        elif entry.name.endswith(_TEMPLATE):
            found.append((f"{above}{entry.name.removesuffix(_TEMPLATE)}", entry.read_text("utf-8")))
    return found
