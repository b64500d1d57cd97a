"""What mypy knows of a stack's packages, kept once: without it, most of its time goes into reading them anew.

The cache is made in the sandbox from a file of ours that imports the packages; nothing of a delivery is in it. Each run
of mypy works on a copy.
"""

from __future__ import annotations

import io
import os
import shutil
import tarfile
import tempfile
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path

import anyio

from evals import digests, workspace
from evals.environments import Environments
from evals.types import MIB, Delivery, Job, Limits, Program, Sandbox

CONFIG = "/tool/mypy.ini"
_CACHE = "/tool/mypy-cache"
_LARGEST = 256 * MIB

_MODULES = (
    "aiofiles",
    "aiosmtpd.controller",
    "aiosmtplib",
    "aiosqlite",
    "alembic.command",
    "anyio",
    "argon2",
    "asyncio",
    "bcrypt",
    "collections.abc",
    "contextlib",
    "csv",
    "dataclasses",
    "datetime",
    "decimal",
    "email.message",
    "email_validator",
    "enum",
    "fastapi",
    "fastapi.concurrency",
    "fastapi.exceptions",
    "fastapi.middleware",
    "fastapi.middleware.cors",
    "fastapi.responses",
    "fastapi.security",
    "fastapi.testclient",
    "functools",
    "hashlib",
    "hmac",
    "httpx",
    "io",
    "ipaddress",
    "itertools",
    "json",
    "jwt",
    "limits",
    "limits.strategies",
    "logging",
    "logging.config",
    "os",
    "passlib.context",
    "pathlib",
    "pydantic",
    "pydantic_core",
    "pydantic_settings",
    "pytest",
    "queue",
    "re",
    "secrets",
    "shutil",
    "slowapi",
    "smtplib",
    "sqlalchemy",
    "sqlalchemy.dialects.sqlite",
    "sqlalchemy.exc",
    "sqlalchemy.ext.asyncio",
    "sqlalchemy.orm",
    "sqlalchemy.pool",
    "sqlite3",
    "starlette.concurrency",
    "starlette.datastructures",
    "starlette.exceptions",
    "starlette.formparsers",
    "starlette.middleware.base",
    "starlette.requests",
    "starlette.responses",
    "starlette.types",
    "statistics",
    "structlog",
    "tempfile",
    "tenacity",
    "threading",
    "time",
    "traceback",
    "typing",
    "typing_extensions",
    "unicodedata",
    "urllib.parse",
    "uuid",
    "uvicorn",
)

_BUILD = f"""
import subprocess, sys, tarfile
options = ["--config-file", {CONFIG!r}, "--cache-dir", "/tmp/mypy"]
subprocess.call([sys.executable, "-I", "-m", "mypy", *options, "known.py"])
with tarfile.open("/results/cache.tar.gz", "w:gz", compresslevel=1) as archive:
    archive.add("/tmp/mypy", ".")
"""

_RUN = f"""
import os, runpy, shutil, sys
if os.path.isdir({_CACHE!r}):
    shutil.copytree({_CACHE!r}, "/tmp/mypy", dirs_exist_ok=True)
sys.argv = ["mypy", "--config-file", {CONFIG!r}, "--cache-dir", "/tmp/mypy", *sys.argv[1:]]
runpy.run_module("mypy", run_name="__main__")
"""


@dataclass(frozen=True, kw_only=True)
class MypyCache:
    """Caches of stacks below the folder of `environments`."""

    environments: Environments
    _turn: anyio.Lock = field(default_factory=anyio.Lock, init=False)

    async def program(self, delivery: Delivery, sandbox: Sandbox, *argv: str, limits: Limits) -> Program:
        """`mypy ARGV` in the workspace's root, with what is known of the stack's packages."""
        known = await self._ensure(delivery, sandbox)
        program = _with_config(delivery.stack.tool("-I", "-c", _RUN, *argv, limits=limits))
        return replace(program, read_only=(*program.read_only, (known, _CACHE)), background=True)

    async def _ensure(self, delivery: Delivery, sandbox: Sandbox) -> Path:
        identity = digests.of_json([delivery.stack.digest, _config().read_text("utf-8"), _MODULES, _BUILD])[:12]
        path = self.environments.cache / "mypy" / f"{delivery.stack.name}-{identity}"
        async with self._turn:
            if not path.is_dir():
                archive = await self._made(delivery, sandbox)
                if archive:  # without one, mypy only takes longer
                    _unpack(archive, path)
                else:
                    path.mkdir(parents=True, exist_ok=True)
        return path

    async def _made(self, delivery: Delivery, sandbox: Sandbox) -> bytes:
        self.environments.tell("reading the types of the stack's packages (once)")
        source = "".join(f"import {name}\n" for name in _MODULES).encode()
        with tempfile.TemporaryDirectory(dir=delivery.scratch) as folder:
            known = Path(folder) / "known.tar.gz"
            known.write_bytes(workspace.archive({"known.py": source}))
            program = _with_config(delivery.stack.tool("-I", "-c", _BUILD, limits=Limits(wall=240.0)))
            collect = {"cache": "/results/cache.tar.gz"}
            finished = await sandbox.run(Job(workspace=known, main=program, collect=collect, collect_bytes=_LARGEST))
        return finished.files.get("cache", b"")


def _config() -> Path:
    return Path(str(resources.files("evals.scorers").joinpath("data", "mypy.ini")))


def _with_config(program: Program) -> Program:
    return replace(program, read_only=(*program.read_only, (_config(), CONFIG)))


def _unpack(data: bytes, path: Path) -> None:
    """Aside, then renamed: a cache is there whole, or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=".new-", dir=path.parent))
    try:
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            _extract(archive, aside)
        aside.chmod(0o755)
        os.rename(aside, path)
    except OSError:
        if not path.is_dir():  # else another process was first
            raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _extract(archive: tarfile.TarFile, folder: Path) -> None:
    """Regular files alone, none outside of the folder; `extractall` has filters only since Python 3.11.4."""
    for member in archive:
        target = (folder / member.name).resolve()
        content = archive.extractfile(member) if member.isfile() and target.is_relative_to(folder.resolve()) else None
        if content is not None:
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb") as file:
                shutil.copyfileobj(content, file)
            # Mypy holds files that it knows against the time at which they were written.
            os.utime(target, (member.mtime, member.mtime))
