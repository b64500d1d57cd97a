"""Package environments: installed once from a lock file with hashes, then only read.

CACHE/environments/NAME-DIGEST/             a virtual environment
CACHE/environments/NAME-DIGEST/.complete    written last
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from evals.errors import EnvironmentFault

_SHOWN = 2000


def lock_digest(lock: str) -> str:
    """Identity of an environment: its lock file and the interpreter (12 hex digits)."""
    version = "{}.{}.{}".format(*sys.version_info[:3])
    return hashlib.sha256(f"{version}\n{sys.base_prefix}\n{lock}".encode()).hexdigest()[:12]


@dataclass(frozen=True, kw_only=True)
class Environments:
    """Makes environments below a cache folder; `tell` is called before a long installation."""

    cache: Path
    tell: Callable[[str], None] = lambda _text: None

    def path(self, name: str, lock: str) -> Path:
        """Where an environment is, or will be."""
        return self.cache / "environments" / f"{name}-{lock_digest(lock)}"

    def ensure(self, name: str, lock: str) -> Path:
        """Install the environment where it is not there yet; `EnvironmentFault` where that fails.

        Two processes that need the same one take turns.
        """
        path = self.path(name, lock)
        if not (path / ".complete").exists():
            with self._turn(path):
                if not (path / ".complete").exists():
                    self._install(path, name, lock)
        return path

    @contextmanager
    def _turn(self, path: Path) -> Iterator[None]:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(f"{path}.lock", "w") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                yield
        except OSError as error:
            raise EnvironmentFault(f"cannot write the cache {self.cache}: {error.strerror or error}") from None

    def _install(self, path: Path, name: str, lock: str) -> None:
        self.tell(f"installing the packages of {name} into {path} (once)")
        shutil.rmtree(path, ignore_errors=True)
        lock_file = Path(f"{path}.txt")
        lock_file.write_text(lock)
        _run([sys.executable, "-m", "venv", str(path)], name)
        pip = [str(path / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        pip += ["--require-hashes", "--no-deps", "--only-binary", ":all:", "-r", str(lock_file)]
        _run(pip, name)
        (path / ".complete").touch()


def _run(command: list[str], name: str) -> None:
    # A stray PYTHONPATH or an active environment must not leak into what graders stand on.
    env = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL_ENV"))}
    done = subprocess.run(command, capture_output=True, env=env, check=False)
    if done.returncode != 0:
        tail = done.stderr.decode("utf-8", "replace").strip()[-_SHOWN:]
        raise EnvironmentFault(f"the packages of {name} could not be installed (pip must reach PyPI): {tail}")
