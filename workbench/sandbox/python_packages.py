"""The few installed packages that graded programs may import. It stands alone: it runs inside."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import sys


class Packages(importlib.abc.MetaPathFinder):
    """Finds packages by name in their folders, and no others that lie beside them."""

    def __init__(self, folders: dict[str, str]) -> None:
        self._folders = folders

    def find_spec(
        self, name: str, path: object = None, target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return where a package lies, None for any other."""
        folder = self._folders.get(name)
        if folder is None:
            return None
        return importlib.util.spec_from_file_location(
            name, f"{folder}/__init__.py", submodule_search_locations=[folder]
        )


def allow(folders: dict[str, str]) -> None:
    """Let programs import packages: name -> folder."""
    sys.meta_path.append(Packages(folders))
