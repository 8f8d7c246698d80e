"""Licences: known by their text whatever the copy looks like, and never guessed."""

from __future__ import annotations

import textwrap
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from identify.vendor.licenses import LICENSES

from workbench.corpus.licences import (
    Licences,
    canonical_licence,
    header_licence,
    identify_licence,
    is_licence_file,
    is_permissive,
)

TEXTS = dict(LICENSES)
MIT = TEXTS["MIT"].replace("[year]", "2021").replace("[fullname]", "A. Person")
APACHE = TEXTS["Apache-2.0"]


@pytest.mark.parametrize("licence", TEXTS)
def test_each_licence_is_known_by_its_text(licence: str) -> None:
    assert identify_licence(TEXTS[licence]) == licence


@pytest.mark.parametrize("licence", TEXTS)
def test_a_copy_may_be_wrapped_commented_and_signed_otherwise(licence: str) -> None:
    words = TEXTS[licence].replace("[year]", "1999").replace("[fullname]", "Someone & Co.")
    wrapped = "\n\n".join(textwrap.fill(part, 60) for part in words.split("\n\n"))
    signed = f"Copyright (C) 2012 by Someone Else\nAll rights reserved.\n\n{wrapped}"
    assert identify_licence(textwrap.indent(signed, "# ", lambda line: True)) == licence


def test_the_apache_licence_is_known_without_its_appendix_and_by_its_notice() -> None:
    body, _, appendix = APACHE.partition("   APPENDIX: How to apply")
    assert identify_licence(body) == "Apache-2.0"
    assert identify_licence(appendix[appendix.index("   Copyright [yyyy]") :]) == "Apache-2.0"


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n\n",
        "All rights reserved. You may not copy this.",
        MIT[: len(MIT) // 2],
        MIT + "\n\n" + TEXTS["BSD-3-Clause"],
        MIT.replace("without restriction", "for non-commercial use"),
        MIT + "\nThe Software shall be used for Good, not Evil.\n",
        " ".join(MIT.split()).replace("to use, copy, modify, merge, publish, distribute, ", "to"),
    ],
)
def test_what_is_no_known_licence_is_not_guessed(text: str) -> None:
    assert identify_licence(text) is None


@pytest.mark.parametrize(
    ("header", "licence"),
    [
        ("# SPDX-License-Identifier: MIT", "MIT"),
        ("/* SPDX-License-Identifier: mit or apache-2.0 */", "MIT OR Apache-2.0"),
        ("<!-- SPDX-License-Identifier: BSD-3-Clause -->", "BSD-3-Clause"),
        (
            "// SPDX-License-Identifier: (GPL-2.0-only WITH Classpath-exception-2.0)",
            "(GPL-2.0-only WITH Classpath-exception-2.0)",
        ),
        ("# SPDX-License-Identifier: as you like it", None),
        ("# SPDX-License-Identifier:", None),
        (f"# SPDX-License-Identifier: {'(' * 5000}MIT", None),
        ("\n" * 100 + "# SPDX-License-Identifier: MIT", None),
        ("pattern = 'License-Identifier: MIT'", None),
    ],
)
def test_a_header_counts_where_it_is_valid(header: str, licence: str | None) -> None:
    text = f"#!/usr/bin/env python\n{header}\nx = 1\n"
    assert header_licence(text) == identify_licence(text) == licence


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        *((name, True) for name in ("LICENSE", "licence.txt", "a/b/COPYING", "UNLICENSE")),
        *((name, True) for name in ("LICENSE-MIT", "LICENSE.APACHE2", "LICENSE_BSD.rst")),
        *(
            (name, True)
            for name in ("COPYING.LESSER", "COPYING3", "MIT-LICENSE.txt", "Licenses.md")
        ),
        *((name, False) for name in ("license.py", "licenses/foo.c", "copyright.c", "licensed.md")),
        *((name, False) for name in ("license_check.py", "README.md", "LICENSE.d/x.py", "")),
    ],
)
def test_licence_files_are_known_by_name(path: str, expected: bool) -> None:
    assert is_licence_file(path) is expected


def test_the_nearest_licence_above_a_file_holds() -> None:
    licences = Licences()
    licences.see("LICENSE", MIT)
    licences.see("pkg/vendor/COPYING", TEXTS["GPL-3.0"])
    licences.see("pkg/odd/LICENSE", "Ask me.")
    licences.see("pkg/vendor/readme.md", TEXTS["Apache-2.0"])
    assert licences.of("setup.py") == "MIT"
    assert licences.of("pkg/a/b/c.py") == "MIT"
    assert licences.of("pkg/vendor/x/y.py") == "GPL-3.0"
    assert licences.of("pkg/odd/x.py") is None
    assert Licences().of("x.py") is None


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"LICENSE-MIT": "MIT", "LICENSE-APACHE": "Apache-2.0"}, "Apache-2.0 OR MIT"),
        ({"LICENSE": "MIT", "COPYING": "GPL-2.0"}, "GPL-2.0 AND MIT"),
        ({"COPYING": "GPL-3.0", "COPYING.LESSER": "LGPL-3.0"}, "LGPL-3.0"),
        ({"LICENSE": "MIT", "LICENSE.txt": "MIT"}, "MIT"),
    ],
)
def test_licences_side_by_side_are_joined(files: dict[str, str], expected: str) -> None:
    licences = Licences()
    for name, licence in files.items():
        licences.see(f"a/{name}", TEXTS[licence])
    assert licences.of("a/x.py") == expected
    assert canonical_licence(expected) == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("MIT", True),
        ("mit", True),
        ("GPL-3.0-only", False),
        ("MIT OR GPL-3.0-only", True),
        ("MIT AND GPL-3.0-only", False),
        ("(MIT OR GPL-2.0-only) AND Apache-2.0", True),
        ("GPL-2.0-only AND MIT OR ISC", True),
        ("GPL-2.0-only AND (MIT OR ISC)", False),
        ("GPL-2.0-only WITH Classpath-exception-2.0", False),
        ("Apache-2.0 WITH LLVM-exception", True),
        ("LicenseRef-mine", False),
        ("not a licence", False),
        ("", False),
        (None, False),
    ],
)
def test_permissive_is_what_can_be_used_under_a_notice(
    expression: str | None, expected: bool
) -> None:
    assert is_permissive(expression) is expected


@given(st.text(alphabet="()ORAND WITHMITGPL-2.0+ ", max_size=60))
def test_no_expression_breaks_the_judge(expression: str) -> None:
    assert is_permissive(expression) in (True, False)


@pytest.mark.parametrize("piece", ["\n", " ", "a", "Copyright (c) ", "copyright\n", "a. ", "©"])
def test_a_hostile_licence_is_read_in_no_time(piece: str) -> None:
    start = time.perf_counter()
    assert identify_licence(piece * (1_000_000 // len(piece))) is None
    assert time.perf_counter() - start < 2
