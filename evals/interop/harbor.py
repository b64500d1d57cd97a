r"""Our tasks under Harbor without a container: an environment on bubblewrap, and a verifier that calls `evals grade`.

    harbor run -p fixtures/tasks/TASK -a oracle -e evals.interop.harbor:BubblewrapEnvironment \\
        --verifier evals.interop.harbor:EvalsVerifier

Harbor needs Python 3.12, and grades are made with 3.11: so nothing of `evals` is imported here, and the program is
called. `EVALS_PROGRAM` says which (default: `evals`), `EVALS_BWRAP` which bubblewrap (default: `bwrap`).
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from harbor.environments.base import BaseEnvironment, ExecResult
from harbor.environments.capabilities import EnvironmentCapabilities
from harbor.models.verifier.result import VerifierResult
from harbor.verifier.base import BaseVerifier

_SYSTEM = ("usr", "bin", "lib", "lib64", "etc")
_WORKSPACE = "/workspace"
_REASON_CHARACTERS = 4000


class BubblewrapEnvironment(BaseEnvironment):
    """A folder as the root of a sandbox: the machine's programs to read, a workspace to write, no network."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self._root: Path | None = None

    @staticmethod
    def type() -> str:
        """Its name in Harbor's records."""
        return "bubblewrap"

    @property
    def capabilities(self) -> EnvironmentCapabilities:
        """There is never a network."""
        return EnvironmentCapabilities(disable_internet=True)

    def _validate_definition(self) -> None:
        if shutil.which(_bwrap()) is None:
            raise FileNotFoundError(f"{_bwrap()}: bubblewrap is not there; install it, or set EVALS_BWRAP")

    def _folder(self) -> Path:
        if self._root is None:
            raise RuntimeError("the environment has not been started")
        return self._root

    def _host(self, path: str | Path) -> Path:
        """Where a path of the sandbox is on the machine; links in it are not followed out of the folder."""
        found = (self._folder() / str(path).lstrip("/")).resolve()
        if not found.is_relative_to(self._folder()):
            raise ValueError(f"{path}: leads out of the environment")
        return found

    async def start(self, force_build: bool) -> None:
        """Make the folder, with what the task's environment begins with."""
        del force_build
        self._root = Path(tempfile.mkdtemp(prefix="evals-harbor-")).resolve()
        for name in ("workspace", "tmp", "tests", "solution", "logs/agent", "logs/verifier", "logs/artifacts"):
            (self._root / name).mkdir(parents=True)
        for path in sorted(Path(self.environment_dir).glob("*")):
            if path.is_file() and path.name != "Dockerfile":
                shutil.copy(path, self._root / "workspace" / path.name)

    async def stop(self, delete: bool) -> None:
        """Remove the folder; nothing runs between commands."""
        del delete
        if self._root is not None:
            shutil.rmtree(self._root, ignore_errors=True)
            self._root = None

    async def upload_file(self, source_path: Path | str, target_path: str) -> None:
        """Copy a file in."""
        target = self._host(target_path)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source_path, target)

    async def upload_dir(self, source_dir: Path | str, target_dir: str) -> None:
        """Copy a folder's content in."""
        shutil.copytree(source_dir, self._host(target_dir), dirs_exist_ok=True)

    async def download_file(self, source_path: str, target_path: Path | str) -> None:
        """Copy a file out."""
        shutil.copy(self._host(source_path), target_path, follow_symlinks=False)

    async def download_dir(self, source_dir: str, target_dir: Path | str) -> None:
        """Copy a folder's content out; links stay links."""
        shutil.copytree(self._host(source_dir), target_dir, symlinks=True, dirs_exist_ok=True)

    def _command(self, command: str, cwd: str | None, env: dict[str, str]) -> list[str]:
        parts = [_bwrap(), "--bind", str(self._folder()), "/", "--unshare-all", "--die-with-parent", "--new-session"]
        for name in _SYSTEM:
            if (Path("/") / name).exists():
                parts += ["--ro-bind", f"/{name}", f"/{name}"]
        parts += ["--proc", "/proc", "--dev", "/dev", "--clearenv", "--setenv", "PATH", "/usr/bin:/bin"]
        for name, value in {"HOME": "/tmp", "LANG": "C.UTF-8", **env}.items():
            parts += ["--setenv", name, value]
        return [*parts, "--chdir", cwd or _WORKSPACE, "/bin/sh", "-c", command]

    async def exec(
        self,
        command: str,
        cwd: str | None = None,
        env: dict[str, str] | None = None,
        timeout_sec: int | None = None,
        user: str | int | None = None,
    ) -> ExecResult:
        """Run a shell command; every one has a sandbox of its own, on the same files."""
        del user
        process = await asyncio.create_subprocess_exec(
            *self._command(command, cwd, env or {}),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            out, err = await asyncio.wait_for(process.communicate(), timeout_sec)
        except TimeoutError:
            process.kill()
            await process.wait()
            return ExecResult(stderr=f"no end within {timeout_sec} s", return_code=124)
        text = [data.decode("utf-8", "replace") for data in (out, err)]
        return ExecResult(stdout=text[0], stderr=text[1], return_code=process.returncode or 0)


class EvalsVerifier(BaseVerifier):
    """Takes the workspace out of the environment and has it graded: `reward` is acceptance."""

    async def verify(self) -> VerifierResult:
        """The rewards; raises where there is no grade, which is a fault and never a reward of 0."""
        folder = Path(self.task.task_dir).resolve()
        with tempfile.TemporaryDirectory(prefix="evals-harbor-") as scratch:
            delivery, reward = Path(scratch) / "workspace", Path(scratch) / "reward.json"
            await self.environment.download_dir(_WORKSPACE, delivery)
            root = str(folder.parents[2])
            program = os.environ.get("EVALS_PROGRAM", "evals")
            command = [program, "grade", folder.name, str(delivery), "--root", root, "--reward", str(reward)]
            process = await asyncio.create_subprocess_exec(
                *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
            )
            out, _ = await process.communicate()
            text = out.decode("utf-8", "replace")
            self.trial_paths.test_stdout_path.write_text(text)
            if process.returncode != 0:
                raise RuntimeError(f"evals grade ended with {process.returncode}: {text[-_REASON_CHARACTERS:]}")
            return VerifierResult(rewards=json.loads(reward.read_text()))


def _bwrap() -> str:
    return os.environ.get("EVALS_BWRAP", "bwrap")
