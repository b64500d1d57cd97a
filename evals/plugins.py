"""Plugins: a file in `solvers/`, `scorers/`, `sandboxes/` or `stacks/` that offers `create`."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from typing import Any

from evals.errors import InputError


def names(package: str) -> list[str]:
    """Kinds that a package offers, as users spell them."""
    path = importlib.import_module(f"evals.{package}").__path__
    modules = [importlib.import_module(f"evals.{package}.{module.name}") for module in pkgutil.iter_modules(path)]
    found = sorted(module.__name__.rpartition(".")[2] for module in modules if hasattr(module, "create"))
    return found if package == "scorers" else [name.replace("_", "-") for name in found]


def factory(package: str, name: str) -> Callable[..., Any]:
    """The `create` of a kind; `InputError` lists what there is."""
    try:
        module = importlib.import_module(f"evals.{package}.{name.replace('-', '_')}")
        create: Callable[..., Any] = module.create
    except (ModuleNotFoundError, AttributeError):
        raise InputError(f"there is no {name!r} among {package}; there are: {', '.join(names(package))}") from None
    return create
