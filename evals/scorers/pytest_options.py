"""How a delivery's own tests are run: with our options, and those of its own that they cannot run without."""

from __future__ import annotations

import configparser
import tomllib
from collections.abc import Mapping
from typing import Any

GUARD = "/tool/guard"
"""Where `data/guard` is mounted: a plugin that names hooks which can change what pytest reports."""

KEPT_SETTINGS = frozenset(
    {
        "anyio_mode",
        "asyncio_default_fixture_loop_scope",
        "asyncio_default_test_loop_scope",
        "asyncio_mode",
        "markers",
        "pythonpath",
        "python_classes",
        "python_files",
        "python_functions",
        "testpaths",
    }
)


def _toml_settings(data: bytes) -> dict[str, Any]:
    try:
        tool = tomllib.loads(data.decode("utf-8", "replace")).get("tool", {})
        pytest = tool.get("pytest", {}) if isinstance(tool, dict) else {}
        options = {**pytest, **pytest.get("ini_options", {})} if isinstance(pytest, dict) else {}
    except (tomllib.TOMLDecodeError, RecursionError, TypeError):
        return {}
    return options


def _ini_settings(data: bytes, section: str) -> dict[str, Any]:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(data.decode("utf-8", "replace"))
        return dict(parser[section]) if parser.has_section(section) else {}
    except configparser.Error:
        return {}


def kept_settings(files: Mapping[str, bytes]) -> dict[str, str]:
    """The delivery's pytest settings that are honoured, as values for `-o`."""
    found: dict[str, Any] = {}
    for path, section in (("setup.cfg", "tool:pytest"), ("tox.ini", "pytest"), ("pytest.ini", "pytest")):
        found |= _ini_settings(files.get(path, b""), section)
    found |= _toml_settings(files.get("pyproject.toml", b""))
    kept = {}
    for key in sorted(KEPT_SETTINGS & set(found)):
        value = found[key]
        separator = "\n" if key == "markers" else " "
        kept[key] = separator.join(map(str, value)) if isinstance(value, list) else str(value)
    return kept


def command_line(settings: Mapping[str, str]) -> list[str]:
    """Options of pytest, with settings of `kept_settings`."""
    options = ["-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir", "/workspace", "-q", "--tb=short"]
    options += ["-p", "evals_guard"]
    for key, value in settings.items():
        options += ["-o", f"{key}={value}"]
    return options
