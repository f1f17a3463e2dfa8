"""Packages that import what they offer when it is first asked for.

`kubernetes.client` imports 860 modules, one for each model and API, of which a controller needs a few; every command
would wait for that and every controller hold it (docs/decisions/012-the-client-is-imported-when-used.md,
https://github.com/kubernetes-client/python/issues/771). Python 3.15 has a statement for it (PEP 810).
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import resolve_name
from types import ModuleType
from typing import Any


@contextlib.contextmanager
def deferred(*packages: str) -> Iterator[None]:
    """While it lasts, packages of these names are imported without what their `from` statements take from inside.

    All of it is still there: `package.name` and `from package import name` import it then. What is no file of Python's
    source is imported as ever.
    """
    finder = _Finder(frozenset(packages))
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _Finder(MetaPathFinder):
    def __init__(self, packages: frozenset[str]) -> None:
        self._packages = packages

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(fullname, path, target) if fullname in self._packages else None
        if spec and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Loader(fullname, spec.loader.path)
        return spec


class _Loader(SourceFileLoader):
    """Runs a package's own statements, but for those that import from inside of it."""

    def exec_module(self, module: ModuleType) -> None:
        package = module.__name__
        tree = ast.parse(self.get_data(self.path), self.path)
        inner = [statement for statement in tree.body if _from_inside(statement, package)]
        tree.body = [statement for statement in tree.body if statement not in inner]
        places = {
            alias.asname or alias.name: (_source(statement, package), alias.name)
            for statement in inner
            if isinstance(statement, ast.ImportFrom)
            for alias in statement.names
        }
        module.__dict__["__getattr__"] = _importing(module, places)
        exec(compile(tree, self.path, "exec"), module.__dict__)  # noqa: S102 - the package's own source


def _from_inside(statement: ast.stmt, package: str) -> bool:
    if not isinstance(statement, ast.ImportFrom) or any(alias.name == "*" for alias in statement.names):
        return False
    return f"{_source(statement, package)}.".startswith(f"{package}.")


def _source(statement: ast.ImportFrom, package: str) -> str:
    return resolve_name("." * statement.level + (statement.module or ""), package)


def _importing(module: ModuleType, places: Mapping[str, tuple[str, str]]) -> Any:
    def asked(name: str) -> Any:
        if name not in places:
            raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")
        source, there = places[name]
        if source == module.__name__:
            return importlib.import_module(f"{source}.{there}")
        found = getattr(importlib.import_module(source), there)
        setattr(module, name, found)
        return found

    return asked
