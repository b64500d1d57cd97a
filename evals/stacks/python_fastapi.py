"""Python 3.11 and FastAPI under uvicorn."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import resources
from pathlib import Path

from evals import digests
from evals.environments import Environments
from evals.errors import EnvironmentFault
from evals.types import Limits, Program

NAME = "python-fastapi"
_VERSION = (3, 11)
_PRELOAD = (
    "uvicorn.main",
    "uvicorn.loops.auto",
    "uvicorn.lifespan.on",
    "uvicorn.protocols.http.auto",
    "uvicorn.protocols.websockets.auto",
    "fastapi.responses",
    "fastapi.security",
    "fastapi.middleware.cors",
    "starlette.middleware.base",
    "multipart",
    "pydantic_settings",
    "email_validator",
    "sqlalchemy.ext.asyncio",
    "sqlalchemy.orm",
    "sqlalchemy.dialects.sqlite",
    "aiosqlite",
    "aiosmtplib",
    "argon2",
    "bcrypt",
    "jwt",
    "httpx",
    "structlog",
)
"""What most deliveries import when they start."""


def _data(name: str) -> str:
    return resources.files("evals.stacks").joinpath("data", name).read_text("utf-8")


@dataclass(frozen=True, kw_only=True)
class PythonFastapi:
    """The stack `python-fastapi`. Its packages come from a lock file with hashes."""

    environments: Environments
    name: str = NAME

    @property
    def page(self) -> str:
        """How a delivery is run."""
        return _data(f"{NAME}.md")

    @property
    def lock(self) -> str:
        """The lock file."""
        return _data(f"{NAME}.lock")

    @cached_property
    def digest(self) -> str:
        """Of the page, the lock file and the interpreter's version."""
        return digests.of_json([self.page, self.lock, sys.version_info[:3]])

    @cached_property
    def path(self) -> Path:
        """The installed environment."""
        return self.environments.path(NAME, self.lock)

    def prepare(self) -> None:
        """Install the packages, once."""
        if sys.version_info[:2] != _VERSION:
            found = f"{sys.version_info.major}.{sys.version_info.minor}"
            raise EnvironmentFault(
                f"the stack {NAME} runs on Python 3.11, and evals runs on {found}: "
                "install evals with Python 3.11, since a grade must not depend on the interpreter"
            )
        self.environments.ensure(NAME, self.lock)

    def starting_files(self) -> Mapping[str, bytes]:
        """The list of the packages on offer."""
        return {"requirements.txt": _data(f"{NAME}.requirements.txt").encode()}

    @property
    def _env(self) -> dict[str, str]:
        return {
            "PATH": f"{self.path / 'bin'}:/usr/bin:/bin",
            "HOME": "/tmp",
            "LANG": "C.UTF-8",
            "TZ": "UTC",
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def service(self) -> Program:
        """Uvicorn with one process."""
        argv = ("-m", "uvicorn", "app.main:app", "--host", "127.0.0.1", "--port", "{port}")
        return replace(self.tool(*argv, limits=Limits(wall=3600.0, cpu=900)), preload=_PRELOAD)

    def tool(self, *argv: str, limits: Limits) -> Program:
        """`python ARGV` in the workspace's root."""
        return Program(
            argv=(str(self.path / "bin" / "python"), *argv),
            env=self._env,
            read_only=((self.path, str(self.path)),),
            limits=limits,
        )


def create(environments: Environments) -> PythonFastapi:
    """The stack; nothing is installed before `prepare`."""
    return PythonFastapi(environments=environments)
