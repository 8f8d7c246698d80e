"""PHP at the command line: a candidate in a process of its own."""

from __future__ import annotations

import json

from workbench.errors import BadInput
from workbench.sandbox.runtimes import Built, Toolchain
from workbench.sandbox.tools import (
    installation,
    is_at_least,
    native,
    outside_system,
    tool,
    version,
)
from workbench.types import CallTests, ProgramTests

_ENVIRONMENT = {"LANG": "C.UTF-8"}
# The sandbox limits memory and time. What goes wrong is said on stderr, and not in HTML.
_OPTIONS = tuple(
    part
    for setting in (
        "memory_limit=-1",
        "max_execution_time=0",
        "display_errors=stderr",
        "display_startup_errors=0",
        "html_errors=0",
        "log_errors=0",
        "opcache.enable_cli=0",
        "zend.assertions=1",
    )
    for part in ("-d", setting)
)


class Php:
    """PHP 8. Its tests are calls or whole programs: no suite has a test program in PHP."""

    @property
    def language(self) -> str:
        """Its name."""
        return "php"

    def find(self) -> Toolchain | None:
        """Return PHP, or None where there is none of version 8 or later."""
        php = tool("php")
        if php is None or not is_at_least(number := version(php), 8):
            return None
        return Toolchain(f"PHP {number}", outside_system([installation(php) or php]))

    def server(self, code: str, tests: ProgramTests | CallTests) -> Built:
        """Build the candidate into a server.

        Raises:
            BadInput: the tests are a program.
        """
        if isinstance(tests, ProgramTests):
            raise _no_programs()
        types = json.dumps([[kind for _, kind in tests.parameters], tests.returns])
        files = {"server.php": native("server.php"), "candidate.php": _tagged(code)}
        return _built(files, "candidate.php", "server.php", types)

    def checker(self, tests: ProgramTests) -> Built:
        """Refuse: there are no test programs in PHP.

        Raises:
            BadInput: always.
        """
        raise _no_programs()

    def program(self, code: str) -> Built:
        """Build a whole program."""
        return _built({"program.php": _tagged(code)}, "program.php", "program.php")


def _no_programs() -> BadInput:
    return BadInput("Test programs in PHP cannot be graded.", "Write the tests as calls.")


def _tagged(code: str) -> str:
    """Return code with the opening tag, without which PHP would print it, and nothing before it."""
    if "<?php" not in code and "<?=" not in code:
        return f"<?php\n{code}"
    return code.lstrip() if code.lstrip().startswith("<?") else code


def _built(files: dict[str, str], check: str, *run: str) -> Built:
    php = (str(tool("php") or "php"), *_OPTIONS)
    return Built(files, run=(*php, *run), compile=((*php, "-l", check),), environment=_ENVIRONMENT)
