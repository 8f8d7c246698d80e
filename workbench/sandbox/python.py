"""Python in CPython: the interpreter that the workbench itself runs on.

The grader does not come here to judge functions: it has warm processes for that (``warm``).
"""

from __future__ import annotations

import platform
from importlib.resources import files

from workbench.errors import BadInput
from workbench.sandbox.runtimes import Built, Toolchain
from workbench.sandbox.warm import ENVIRONMENT, FLAGS, interpreter, packages, readable
from workbench.types import CallTests, ProgramTests

_RUN = """
import sys, types
sys.path.insert(0, ".")
import python_packages
python_packages.allow({packages})
del sys.path[0], sys.modules["python_packages"], sys.argv[1:]
with open("program.py", "rb") as file:
    code = compile(file.read(), "program.py", "exec", dont_inherit=True)
main = sys.modules["__main__"] = types.ModuleType("__main__")
exec(code, main.__dict__)
"""
_CHECK = "import sys; compile(open(sys.argv[1], 'rb').read(), 'program.py', 'exec')"


class Python:
    """CPython."""

    @property
    def language(self) -> str:
        """Its name."""
        return "python"

    def find(self) -> Toolchain | None:
        """Return the interpreter that runs the workbench."""
        name = f"{platform.python_implementation()} {platform.python_version()}"
        return Toolchain(name, readable())

    def server(self, code: str, tests: ProgramTests | CallTests) -> Built:
        """Refuse: candidates are forked from a warm process."""
        raise BadInput("Functions in Python are judged by warm processes.", "Use Grader.grade.")

    def checker(self, tests: ProgramTests) -> Built:
        """Refuse: tests are forked from a warm process."""
        raise BadInput("Functions in Python are judged by warm processes.", "Use Grader.grade.")

    def program(self, code: str) -> Built:
        """Build a whole program that reads stdin and prints."""
        finder = (files("workbench.sandbox") / "python_packages.py").read_text(encoding="utf-8")
        python = (str(interpreter()), *FLAGS)
        return Built(
            {"program.py": code, "python_packages.py": finder},
            run=(*python, "-c", _RUN.format(packages=packages())),
            compile=((*python, "-c", _CHECK, "program.py"),),
            environment=ENVIRONMENT,
        )
