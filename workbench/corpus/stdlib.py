"""Crawl the standard library of the running Python."""

from __future__ import annotations

import platform
import re
import sysconfig
from pathlib import PurePosixPath

from workbench.corpus.caps import DEFAULT_CAPS, Caps
from workbench.corpus.folder import Folder
from workbench.errors import BadInput

TEST_FOLDERS = frozenset({"test", "tests", "idle_test"})
# Wheels of pip, and the reference manual as one dictionary of strings.
BUNDLES = {"ensurepip/_bundled": "bundled", "pydoc_data": "generated"}

_CODE_PAGE = re.compile(r"^decoding_(table|map) = ", re.MULTILINE)


class StandardLibrary(Folder):
    """The Python files of the standard library, without tests, bundles and build products."""

    def __init__(self, argument: str = "", *, caps: Caps = DEFAULT_CAPS) -> None:
        """Find the library; ``argument`` is empty, as the source takes none.

        Raises:
            BadInput: this Python keeps its library in no folder (a zip file, say).
        """
        try:
            super().__init__(
                sysconfig.get_path("stdlib"),
                caps=caps,
                license="PSF-2.0",
                source="stdlib",
                revision=platform.python_version(),
            )
        except BadInput as error:
            raise BadInput(
                "This Python keeps its standard library in no folder.",
                "Use a Python with its library on disk, or crawl one: workbench crawl NAME "
                "folder:PATH",
            ) from error

    def refuse_entry(self, path: str, is_folder: bool) -> str | None:
        """Return why an entry of the library is left out, or None."""
        name = PurePosixPath(path).name
        if path in BUNDLES:
            return BUNDLES[path]
        if is_folder:
            return "test" if name in TEST_FOLDERS else None
        if not name.endswith(".py"):
            return "not Python"
        # Variables of the build: generated, and full of paths of the machine that built it.
        return "generated" if name.startswith("_sysconfigdata") else None

    def refuse_text(self, path: str, text: str) -> str | None:
        """Leave out the code pages: 70 files that gencodec.py filled with tables of numbers."""
        tables = path.startswith("encodings/") and _CODE_PAGE.search(text)
        return "generated" if tables else None
