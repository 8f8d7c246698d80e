"""MBPP, sanitized: 427 short Python problems with asserts (Austin et al. 2021)."""

from __future__ import annotations

from workbench.suites.problems import Suite
from workbench.suites.sources import Row, data_file, make_each, read_file, sha256_of_file
from workbench.types import Example, ProgramTests, Question, Reference

FILE = "mbpp-sanitized/sanitized-mbpp.json"


def load() -> Suite:
    """Read MBPP's sanitized problems.

    Raises:
        BadInput: WORKBENCH_DATA lacks the file, or it is damaged.
    """
    path = data_file(FILE)
    return Suite(
        name="mbpp",
        task="generate",
        examples=make_each(str(path), read_file(path), _example),
        license="CC-BY-4.0",
        citation="Austin et al., Program Synthesis with Large Language Models, 2021",
        origin="the folder mbpp of google-research/google-research, in WORKBENCH_DATA",
        checksum=sha256_of_file(path),
        metrics=("pass@1", "CodeBLEU"),
        note=(
            "The first assert is shown, as in EvalPlus, since it alone tells the function's name;"
            " the others stay hidden. Papers that show all three report more."
        ),
    )


def _example(row: Row) -> Example:
    shown, *_ = row["test_list"]
    return Example(
        Question(
            id=f"Mbpp/{row['task_id']}",
            task="generate",
            text=f"{row['prompt'].strip()} It must pass this test:\n\n```python\n{shown}\n```",
            target_language="python",
        ),
        Reference(
            texts=(row["code"].replace("\r\n", "\n"),),
            tests=ProgramTests(
                language="python",
                code="\n".join(row["test_list"]) + "\n",
                prelude="".join(f"{line}\n" for line in row["test_imports"]),
            ),
        ),
    )
