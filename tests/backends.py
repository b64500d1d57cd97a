"""The sandboxes that this machine has, for tests that hold for each of them."""

import os
import subprocess
from collections.abc import Sequence
from functools import cache
from typing import Any

import pytest

from evals.sandboxes import bubblewrap, docker
from evals.types import Sandbox

_DOCKER = pytest.param("docker", marks=pytest.mark.slow)
KINDS = ("bubblewrap", _DOCKER)
NAMES = ("bubblewrap", pytest.param("bubblewrap-cold", marks=pytest.mark.slow), _DOCKER)
"""`bubblewrap-cold` starts its supervisor in the sandbox, as it does where a ready one may not enter."""


def _docker() -> Sandbox:
    if "docker" not in os.environ.get("EVALS_TESTS_REQUIRE", ""):
        try:
            answer = subprocess.run(["docker", "info"], capture_output=True, timeout=30, check=False)
        except (OSError, subprocess.TimeoutExpired):
            answer = None
        if answer is None or answer.returncode != 0:
            pytest.skip("no Docker daemon answers here")
    return docker.create()


def each(names: Sequence[object]) -> Any:
    """A fixture `sandbox` that is each of these in turn."""

    @pytest.fixture(scope="module", params=names)
    def sandbox(request: pytest.FixtureRequest) -> Sandbox:
        """Each sandbox that this machine has."""
        return made(request.param)

    return sandbox


@cache
def made(name: str) -> Sandbox:
    """A sandbox by its name here; skips where this machine has none of that kind."""
    if name == "docker":
        return _docker()
    sandbox = bubblewrap.create()
    assert sandbox.warm
    sandbox.warm = name == "bubblewrap"
    return sandbox
