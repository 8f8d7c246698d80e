"""Notebooks: their code comes out as a script, and no notebook is too odd to be counted."""

from __future__ import annotations

import ast
import io
import json
import tarfile
import time
from pathlib import Path
from typing import Any

import nbformat
import pytest

from workbench.corpus import notebooks
from workbench.corpus.entries import MAX_BYTES, Skip, limit_of, make_document, read_text
from workbench.corpus.folder import Folder
from workbench.corpus.notebooks import (
    MAX_NOTEBOOK_BYTES,
    NotebookError,
    code_of_notebook,
    language_of_code,
)


def notebook(*sources: Any, **table: Any) -> str:
    cells = [{"cell_type": "code", "source": source, "outputs": []} for source in sources]
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5} | table)


def kernel(language: Any) -> dict[str, Any]:
    return {"metadata": {"language_info": {"name": language}}}


# --- what comes out --------------------------------------------------------------------


def test_code_cells_become_a_script_and_all_else_is_dropped() -> None:
    new = nbformat.v4
    text = nbformat.writes(
        new.new_notebook(
            cells=[
                new.new_markdown_cell("# Title"),
                new.new_code_cell("x = 1\ny = 2", outputs=[new.new_output("stream", text="OUT")]),
                new.new_raw_cell("raw"),
                new.new_code_cell("  \n"),
                new.new_code_cell("print(x)\n\n"),
            ]
        )
    )
    assert code_of_notebook(text) == "# %%\nx = 1\ny = 2\n\n# %%\nprint(x)\n"


def test_formats_2_and_3_are_read() -> None:
    old = nbformat.v3
    cells = [
        old.new_code_cell(input="x = 1", language="python"),
        old.new_text_cell("markdown", "t"),
    ]
    table = old.new_notebook(worksheets=[old.new_worksheet(cells=cells)])
    text = nbformat.writes(nbformat.from_dict(table), version=3)
    assert code_of_notebook(text) == "# %%\nx = 1\n"
    assert code_of_notebook(text.replace('"nbformat": 3', '"nbformat": 2')) == "# %%\nx = 1\n"


def test_a_text_may_be_one_string_or_a_list_of_lines() -> None:
    assert code_of_notebook(notebook("x\ny")) == code_of_notebook(notebook(["x\n", "y"]))


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("%matplotlib inline", "# %matplotlib inline"),
        ("  %time f()", "  # %time f()"),
        ("!pip install x", "# !pip install x"),
        ("!!ls", "# !!ls"),
        ("?print", "# ?print"),
        ("print?", "# print?"),
        ("np.array??", "# np.array??"),
        ("%%notfirst", "# %%notfirst"),
        ("files = !ls", "# files = !ls"),
        ("a, b = %time f()", "# a, b = %time f()"),
        ("!a \\\n  b \\\n  c\nx = 1", "# !a \\\n#   b \\\n#   c\nx = 1"),
        ("s = '''\n%magic\n!shell\n'''\n!ls", "s = '''\n%magic\n!shell\n'''\n# !ls"),
        ('s = """\\"""\n!x\n"""', 's = """\\"""\n!x\n"""'),
        ("x = 'it''s'  # '''\n!ls", "x = 'it''s'  # '''\n# !ls"),
        ("y = (a\n     % b)", "y = (a\n     % b)"),
        ("x != 1", "x != 1"),
        ("x = '%s' % y", "x = '%s' % y"),
        ("d['a?'] = 1", "d['a?'] = 1"),
    ],
)
def test_what_is_not_python_becomes_a_comment_and_what_is_stays(line: str, kept: str) -> None:
    script = code_of_notebook(notebook(f"x = 1\n{line}\nz = 3"))
    assert script == f"# %%\nx = 1\n{kept}\nz = 3\n"


def test_a_cell_of_another_language_becomes_a_comment_as_a_whole() -> None:
    script = code_of_notebook(notebook("%%bash\nfor x in *; do\n\ndone", "%%time\nx = 1"))
    assert script == "# %%\n# %%bash\n# for x in *; do\n#\n# done\n\n# %%\n# %%time\nx = 1\n"
    ast.parse(script)


@pytest.mark.parametrize(
    ("said", "name"), [("python", "python"), ("Java", "java"), ("C++", "cpp"), ("PHP", "php")]
)
def test_the_language_is_that_of_the_kernel(said: str, name: str) -> None:
    text = read_text("a.ipynb", notebook("x = 1;", **kernel(said)).encode())
    document = make_document("a.ipynb", text, source="s", revision=None, license=None)
    assert document.language == language_of_code(text) == name
    assert document.path == "a.ipynb"
    by_spec = notebook("x = 1;", metadata={"kernelspec": {"language": said}})
    assert language_of_code(code_of_notebook(by_spec)) == name


def test_a_magic_is_only_one_in_python() -> None:
    assert code_of_notebook(notebook("!x", **kernel("java"))) == "// %% [java]\n!x\n"


# --- what does not ---------------------------------------------------------------------

ODD = {
    "nothing": ("", "malformed notebook"),
    "no JSON": ("x = 1", "malformed notebook"),
    "cut": (notebook("x = 1")[:-9], "malformed notebook"),
    "a list": ("[]", "malformed notebook"),
    "a number": ("3", "malformed notebook"),
    "null": ("null", "malformed notebook"),
    "an endless number": ('{"cells": ' + "1" * 100_000 + "}", "malformed notebook"),
    "no cells": ("{}", "malformed notebook"),
    "cells null": ('{"cells": null}', "malformed notebook"),
    "cells a text": ('{"cells": "x"}', "malformed notebook"),
    "cells a table": ('{"cells": {"0": 1}}', "malformed notebook"),
    "cell null": ('{"cells": [null]}', "malformed notebook"),
    "cell a text": ('{"cells": ["x = 1"]}', "malformed notebook"),
    "source null": (notebook(None), "malformed notebook"),
    "source a number": (notebook(1), "malformed notebook"),
    "source mixed": (notebook(["x\n", 1]), "malformed notebook"),
    "source nested": (notebook([["x"]]), "malformed notebook"),
    "source a notebook": (notebook({"cells": []}), "malformed notebook"),
    "source missing": ('{"cells": [{"cell_type": "code"}]}', "malformed notebook"),
    "sheets empty": ('{"worksheets": []}', "malformed notebook"),
    "sheet a text": ('{"worksheets": ["x"]}', "malformed notebook"),
    "empty": (notebook(), "notebook without code"),
    "blank": (notebook("", " \n", []), "notebook without code"),
    "prose": ('{"cells": [{"cell_type": "markdown", "source": "x"}]}', "notebook without code"),
    "kind a list": ('{"cells": [{"cell_type": ["code"], "source": "x"}]}', "notebook without code"),
    "R": (notebook("x <- 1", **kernel("R")), "notebook in another language"),
    "Klingon": (notebook("x", **kernel("tlh")), "notebook in another language"),
    "deep": ("[" * 5_000_000, "notebook too complex"),
    "deep tables": ('{"a":' * 100_000 + "1" + "}" * 100_000, "notebook too complex"),
    "deep metadata": (
        notebook("x", metadata=json.loads("[" * 250 + "]" * 250)),
        "notebook too complex",
    ),
    "a million tables": ('{"cells": [' + "{}," * 1_000_000 + "{}]}", "notebook too complex"),
    "a million texts": ('{"cells": [' + '"",' * 2_000_000 + '""]}', "notebook too complex"),
    "open text": ('"a\\' * 500_000, "malformed notebook"),
    "much code": (notebook("x = 1\n" * 200_000), "too large"),
}


@pytest.mark.parametrize("name", ODD)
def test_an_odd_notebook_has_a_typed_reason_and_is_quick(name: str) -> None:
    text, reason = ODD[name]
    start = time.monotonic()
    with pytest.raises(NotebookError) as caught:
        code_of_notebook(text)
    assert str(caught.value) == reason
    assert time.monotonic() - start < 5
    if text:
        with pytest.raises(Skip, match=f"^{reason}$"):
            read_text("a.ipynb", text.encode())


@pytest.mark.parametrize("metadata", [None, 1, "x", [], {"language_info": 3}, {"kernelspec": []}])
def test_a_notebook_that_does_not_say_its_language_is_python(metadata: Any) -> None:
    assert code_of_notebook(notebook("x = 1", metadata=metadata)) == "# %%\nx = 1\n"


@pytest.mark.parametrize("language", [None, 3, [], {}, ""])
def test_a_language_of_the_wrong_type_counts_as_not_said(language: Any) -> None:
    assert language_of_code(code_of_notebook(notebook("x = 1", **kernel(language)))) == "python"


def test_a_cell_of_format_3_may_name_its_language_in_any_type() -> None:
    cells = [{"cell_type": "code", "input": "x", "language": language} for language in ([], {}, 3)]
    text = json.dumps({"worksheets": [{"cells": cells}], "nbformat": 3})
    assert code_of_notebook(text).startswith("# %%\nx\n")


def test_lone_surrogates_in_a_cell_are_undecodable() -> None:
    with pytest.raises(Skip, match=r"^undecodable$"):
        read_text("a.ipynb", notebook("x = '\ud800'").encode())


@pytest.mark.parametrize(
    "line",
    [" " * 900_000, "a" * 900_000, "'" * 900_000, "\\" * 900_000, "'''\\" * 200_000, "?" * 9_999],
)
def test_no_line_takes_the_square_of_its_length(line: str) -> None:
    start = time.monotonic()
    code_of_notebook(notebook(f"%magic\n{line}\nx = 1"))
    code_of_notebook(notebook(f"%magic\n{line}"))
    assert time.monotonic() - start < 5


# --- wherever it comes from ------------------------------------------------------------


def test_large_outputs_are_no_reason_to_leave_out_the_code(tmp_path: Path) -> None:
    table = json.loads(notebook("x = 1"))
    table["cells"][0]["outputs"] = [{"data": {"image/png": "A" * 5_000_000}}]
    (tmp_path / "a.ipynb").write_text(json.dumps(table))
    (tmp_path / "b.ipynb").write_text(" " * (MAX_NOTEBOOK_BYTES + 1))
    (tmp_path / "c.py").write_text("x" * (MAX_BYTES + 1))
    crawler = Folder(tmp_path)
    (document,) = crawler.crawl()
    assert (document.text, document.language) == ("# %%\nx = 1\n", "python")
    assert crawler.skipped == {"too large": 2}
    assert limit_of("x/A.IPYNB") == MAX_NOTEBOOK_BYTES
    assert limit_of("a.py") == MAX_BYTES


def test_the_limit_of_a_folder_holds_for_the_code_of_a_notebook(tmp_path: Path) -> None:
    (tmp_path / "a.ipynb").write_text(notebook("x = 1\n" * 100))
    crawler = Folder(tmp_path, max_bytes=100)
    assert list(crawler.crawl()) == []
    assert crawler.skipped == {"too large": 1}


def test_a_notebook_in_an_archive_is_read_as_in_a_folder(tmp_path: Path) -> None:
    from workbench.corpus.archives import LeftOut, members
    from workbench.corpus.caps import DEFAULT_CAPS

    data = notebook("x = 1").encode()
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        member = tarfile.TarInfo("pkg-1/a.ipynb")
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
    (entry,) = members(tmp_path / "a.tar.gz", DEFAULT_CAPS)
    assert not isinstance(entry, LeftOut)
    assert read_text(entry.path, entry.data) == "# %%\nx = 1\n"


def test_the_measure_is_taken_before_anything_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(text: str) -> None:
        raise AssertionError("parsed")

    monkeypatch.setattr(notebooks.json, "loads", refuse)
    for name in ("deep", "deep tables", "a million tables", "a million texts"):
        with pytest.raises(NotebookError, match="too complex"):
            code_of_notebook(ODD[name][0])
