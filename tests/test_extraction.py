"""What a model wrote -> the answer in it."""

from __future__ import annotations

import time
from typing import NamedTuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from workbench.languages import LANGUAGES
from workbench.tasks.extraction import CODE_RULES, PROSE_RULES, extract_code, extract_prose
from workbench.tasks.fences import split_fences
from workbench.types import fence_for

ADD = "def add(a, b):\n    return a + b"
USE = "print(add(1, 2))"
WHOLE = f"{ADD}\n\ndef main():\n    {USE}"
JAVA = "public class Main {\n    static int add(int a, int b) {\n        return a + b;\n    }\n}"
GO = "package main\n\nfunc Add(a, b int) int {\n\treturn a + b\n}"
JS = "function add(a, b) {\n  return a + b;\n}"
CPP = "#include <vector>\n\nint add(int a, int b) {\n    return a + b;\n}"
CSHARP = "using System;\n\nclass Program {\n    static int Add(int a, int b) => a + b;\n}"
PHP = "<?php\nfunction add($a, $b) {\n    return $a + $b;\n}"
BARE_PHP = PHP.removeprefix("<?php\n")
DOCTEST = 'def f():\n    """Doc.\n\n    ```\n    f()\n    ```\n    """\n    return 1'


class Case(NamedTuple):
    name: str
    raw: str
    text: str
    rule: str
    language: str = "python"
    found: str | None = None


def fenced(code: str, tag: str = "python", fence: str = "```") -> str:
    return f"{fence}{tag}\n{code}\n{fence}"


CASES = [
    # One fence.
    Case("a tagged fence", fenced(ADD), ADD, "fence"),
    Case("a short tag", fenced(ADD, "py"), ADD, "fence"),
    Case("a tag in capitals", fenced(ADD, "Python"), ADD, "fence"),
    Case("a tag with a version", fenced(ADD, "python3"), ADD, "fence"),
    Case("a space before the tag", fenced(ADD, " python"), ADD, "fence"),
    Case("words behind the tag", fenced(ADD, 'python title="x.py"'), ADD, "fence"),
    Case("line numbers behind the tag", fenced(ADD, "python {linenos=true}"), ADD, "fence"),
    Case("a tag in Pandoc's braces", fenced(ADD, "{.python}"), ADD, "fence"),
    Case("a file name behind the tag", fenced(ADD, "python:add.py"), ADD, "fence"),
    Case("no tag", fenced(ADD, ""), ADD, "fence"),
    Case("tildes", fenced(ADD, "python", "~~~"), ADD, "fence"),
    Case("a longer fence", fenced(ADD, "python", "`````"), ADD, "fence"),
    Case("a longer closing fence", f"```python\n{ADD}\n`````", ADD, "fence"),
    Case("spaces behind the closing fence", fenced(ADD) + "   \n", ADD, "fence"),
    Case("prose before and after", f"Sure!\n\n{fenced(ADD)}\n\nIt adds.", ADD, "fence"),
    Case("blank lines inside are kept", fenced("\n\nx = 1\n"), "\n\nx = 1\n", "fence"),
    Case("trailing spaces inside are kept", fenced("x = 1  \n\t"), "x = 1  \n\t", "fence"),
    Case("C++ written so", fenced(CPP, "c++"), CPP, "fence", "cpp"),
    Case("C for C++", fenced(CPP, "c"), CPP, "fence", "cpp"),
    Case("C# written so", fenced(CSHARP, "c#"), CSHARP, "fence", "csharp"),
    Case("golang", fenced(GO, "golang"), GO, "fence", "go"),
    Case("PHP with its opening tag", fenced(PHP, "php"), PHP, "fence", "php"),
    Case("PHP in a fence for HTML", fenced(PHP, "html"), PHP, "fence", "php"),
    Case("an unknown tag", fenced(JS, "typescript"), JS, "fence", "javascript"),
    # Windows.
    Case(
        "Windows newlines",
        "Hi\r\n```python\r\nx = 1\r\ny = 2\r\n```\r\n",
        "x = 1\r\ny = 2",
        "fence",
    ),
    Case("Windows newlines, raw", ADD.replace("\n", "\r\n"), ADD.replace("\n", "\r\n"), "raw"),
    # Indented fences.
    Case(
        "in a list item",
        "1. So:\n\n   ```python\n   def f():\n       pass\n   ```\n",
        "def f():\n    pass",
        "fence",
    ),
    Case("behind a bullet", "- ```python\n  x = f(1)\n  y = 2\n  ```", "x = f(1)\ny = 2", "fence"),
    Case("indented, the code is not", f"  ```python\n{ADD}\n  ```", ADD, "fence"),
    Case("indented by a tab", "\t```python\n\tx = 1\n\t```", "x = 1", "fence"),
    # Fences within fences.
    Case("a docstring with a fence", fenced(DOCTEST), DOCTEST, "fence"),
    Case(
        "a shorter fence inside",
        fenced(fenced("x", ""), "python", "````"),
        fenced("x", ""),
        "fence",
    ),
    Case("tildes inside backticks", fenced("s = '''\n~~~\n'''"), "s = '''\n~~~\n'''", "fence"),
    Case("wrapped in Markdown", fenced(fenced(ADD), "markdown", "````"), ADD, "fence"),
    Case("wrapped at the same length", fenced(f"Here:\n\n{fenced(ADD)}", "markdown"), ADD, "fence"),
    Case("wrapped in a bare fence", fenced(fenced(ADD), ""), ADD, "fence"),
    Case("opened twice", f"```python\n{fenced(ADD)}", ADD, "fence"),
    Case("begun anew before it was closed", f"```python\n{ADD}\n{fenced(USE)}", ADD, "fence"),
    # Several fences.
    Case(
        "then a usage example",
        f"{fenced(ADD)}\nUse:\n{fenced(USE + chr(10) + USE * 9)}",
        ADD,
        "fence",
    ),
    Case(
        "first imports, then the function", f"{fenced('import math')}\n{fenced(ADD)}", ADD, "fence"
    ),
    Case("first the call, then the function", f"{fenced(USE * 9)}\n{fenced(ADD)}", ADD, "fence"),
    Case(
        "alternatives",
        f"{fenced(ADD)}\nor\n{fenced('def add2(*a):' + chr(10) + '    return sum(a)')}",
        ADD,
        "fence",
    ),
    Case(
        "steps, then the whole",
        f"Step 1\n{fenced(ADD)}\nAll of it:\n{fenced(WHOLE)}",
        WHOLE,
        "fence",
    ),
    Case(
        "no definitions: the longest",
        f"{fenced('x = 1')}\n{fenced('y = sorted(x)')}",
        "y = sorted(x)",
        "fence",
    ),
    Case(
        "the wanted language second",
        f"{fenced(ADD)}\nbecomes\n{fenced(JAVA, 'java')}",
        JAVA,
        "fence",
        "java",
    ),
    Case(
        "a shell command first",
        f"{fenced('pip install numpy', 'bash')}\n{fenced(ADD, '')}",
        ADD,
        "fence",
    ),
    Case("an output block last", f"{fenced(ADD)}\nOutput:\n{fenced('3' * 200, '')}", ADD, "fence"),
    Case(
        "the tagged one before a longer bare one",
        f"{fenced(ADD, '')}{chr(10)}{fenced('x = 1')}",
        "x = 1",
        "fence",
    ),
    Case("an empty fence first", f"{fenced('')}\n{fenced(ADD)}", ADD, "fence"),
    Case("another language than wanted", fenced(JAVA, "java"), JAVA, "fence", "python", "java"),
    Case("code in a fence for text", fenced(ADD, "text"), ADD, "fence"),
    Case("only a shell command", fenced("ls -l", "bash"), "ls -l", "fence"),
    # Fences that are not closed, or closed at the wrong place.
    Case(
        "cut off",
        f"Sure:\n```python\n{ADD}\n\ndef sub(a, b",
        f"{ADD}\n\ndef sub(a, b",
        "fence-unclosed",
    ),
    Case(
        "cut off within the closing fence", f"```python\n{ADD}\n``", f"{ADD}\n``", "fence-unclosed"
    ),
    Case("cut off, without a tag", f"```\n{ADD}", ADD, "fence-unclosed"),
    Case("the second is cut off", f"{fenced(ADD)}\nUse:\n```python\nprint(a", ADD, "fence"),
    Case("the closing fence glued to the code", f"```python\n{ADD}```\nIt adds.", ADD, "fence"),
    Case("opened behind text", f"Here it is: ```python\n{ADD}\n```", ADD, "fence"),
    Case("closed but never opened", f"{ADD}\n```\nThis function adds.", ADD, "prose-around"),
    Case(
        "closed but never opened, then prose with a call",
        f"{ADD}\n```\nThis can be called as add(1, 2) from anywhere.",
        ADD,
        "prose-around",
    ),
    Case("closed at the end, never opened", f"{ADD}\n```", ADD, "prose-around"),
    Case("opened at the very end", f"{ADD}\n```python", ADD, "prose-around"),
    # No fence.
    *(
        Case(f"raw {name}", code, code, "raw", name)
        for name, code in [
            ("python", ADD),
            ("java", JAVA),
            ("go", GO),
            ("javascript", JS),
            ("cpp", CPP),
            ("csharp", CSHARP),
            ("php", PHP),
            ("php", BARE_PHP),
        ]
    ),
    Case("blank lines around raw code", f"\n\n{ADD}\n\n", ADD, "raw"),
    Case(
        "raw code with prose in its docstring",
        'def f():\n    """\nReturns the sum of all.\n    """\n    return 1',
        'def f():\n    """\nReturns the sum of all.\n    """\n    return 1',
        "raw",
    ),
    Case("a line that announces", f"Here is the code:\n{ADD}", ADD, "prose-around"),
    Case("a label", f"Python:\n\n{ADD}", ADD, "prose-around"),
    Case(
        "prose before and after, no fence",
        f"You can do it so.\n\n{ADD}\n\nThis returns the sum.",
        ADD,
        "prose-around",
    ),
    Case(
        "bullets after, no fence",
        f"{ADD}\n\n- adds two numbers\n- returns their sum",
        ADD,
        "prose-around",
    ),
    Case("a heading before, no fence", f"## Solution\n\n{ADD}", ADD, "prose-around"),
    Case("raw, then an example", f"{ADD}\n\nFor example:\n\n{USE}", ADD, "prose-around"),
    Case(
        "Java in prose",
        f"Here is the Java version:\n\n{JAVA}\n\nIt prints nothing.",
        JAVA,
        "prose-around",
        "java",
    ),
    Case(
        "Go in prose",
        f"The function in Go is this:\n{GO}\nIt adds two numbers.",
        GO,
        "prose-around",
        "go",
    ),
    Case("raw code cut off", f"Here you are:\n{JAVA[:60]}", JAVA[:60], "prose-around", "java"),
    Case(
        "raw code before a block of output",
        f"{ADD}\n{USE}\n\nOutput:\n{fenced('3', '')}",
        f"{ADD}\n{USE}",
        "prose-around",
    ),
    # Inline.
    Case("inline code", "Use `sorted(xs, key=len)` for that.", "sorted(xs, key=len)", "inline"),
    Case("the longest of inline code", "Use `f(x)` or `sorted(xs)[0]`.", "sorted(xs)[0]", "inline"),
    Case("a fence on one line", "```python print(1)```", "print(1)", "inline"),
    Case("inline names are no code", "Use `sorted` or `max`.", "", "nothing"),
    # Leftovers of chat templates.
    Case("a token at the end", f"{fenced(ADD)}<|im_end|>", ADD, "fence"),
    Case("a token on its own line", f"{ADD}\n<|im_end|>\n", ADD, "raw"),
    Case("another turn", f"{fenced(ADD)}<|im_end|>\n<|im_start|>user\n{fenced(USE)}", ADD, "fence"),
    Case(
        "a token in place of the closing fence",
        f"```python\n{ADD}<|im_end|>",
        ADD,
        "fence-unclosed",
    ),
    Case("the assistant's opening", f"<|im_start|>assistant\n{fenced(ADD)}", ADD, "fence"),
    Case("the end of a text", f"{ADD}</s>", ADD, "raw"),
    Case("DeepSeek's token", f"{ADD}<｜end▁of▁sentence｜>", ADD, "raw"),  # noqa: RUF001
    Case(
        "a token within a string stays", fenced('end = "<|im_end|>"'), 'end = "<|im_end|>"', "fence"
    ),
    Case("a thought before", f"<think>\n{fenced(USE)}\n</think>\n{fenced(ADD)}", ADD, "fence"),
    Case("a thought without end", f"<think>\n{fenced(ADD)}", "", "nothing"),
    # Nothing there.
    Case("empty", "", "", "nothing"),
    Case("only white space", " \n\t\n", "", "nothing"),
    Case("an empty fence", fenced(""), "", "nothing"),
    Case("only fences", "```\n```\n```", "", "nothing"),
    Case("a refusal", "I'm sorry, but I can't help with that.", "", "nothing"),
    Case(
        "an explanation", "You should first sort the list, then walk over it once.", "", "nothing"
    ),
    Case("one word", "Sorry", "", "nothing"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_code_is_found_by_the_rule_that_is_named(case: Case) -> None:
    found = extract_code(case.raw, case.language)
    assert (found.text, found.rule) == (case.text, case.rule)
    assert found.language == (case.found or case.language)


def test_every_rule_for_code_has_a_case() -> None:
    assert {case.rule for case in CASES} == CODE_RULES


SAYS = "It adds two numbers.\n\nNothing else."
PROSE_CASES = [
    ("plain prose", SAYS, SAYS, "prose"),
    ("white space around", f"\n {SAYS}\n\n", SAYS, "prose"),
    ("Windows newlines", "It adds.\r\nIt ends.\r\n", "It adds.\r\nIt ends.", "prose"),
    ("names in backticks", "It calls `add(1)`.", "It calls `add(1)`.", "prose"),
    ("code after", f"{SAYS}\n\n{fenced(ADD)}", SAYS, "prose-without-code"),
    (
        "code between",
        f"It adds.\n{fenced(ADD)}\nIt ends.",
        "It adds.\n\nIt ends.",
        "prose-without-code",
    ),
    ("code cut off", f"{SAYS}\n```python\n{ADD}", SAYS, "prose-without-code"),
    ("all in a fence", fenced(SAYS, ""), SAYS, "fence"),
    ("all in a fence for Markdown", fenced(SAYS, "markdown"), SAYS, "fence"),
    ("all in a fence for code", fenced(SAYS, "python"), SAYS, "fence"),
    ("an announcement, then a fence", f"Here is the summary:\n{fenced(SAYS, '')}", SAYS, "fence"),
    ("an empty fence", f"{SAYS}\n{fenced('')}", SAYS, "prose"),
    ("a token at the end", f"{SAYS}<|im_end|>\n<|im_start|>user\nMore?", SAYS, "prose"),
    ("a thought before", f"<think>Hm.</think>\n\n{SAYS}", SAYS, "prose"),
    ("nothing", " \n", "", "nothing"),
    ("only a token", "<|im_end|>", "", "nothing"),
]


@pytest.mark.parametrize(
    ("raw", "text", "rule"), [case[1:] for case in PROSE_CASES], ids=[c[0] for c in PROSE_CASES]
)
def test_the_prose_is_found_by_the_rule_that_is_named(raw: str, text: str, rule: str) -> None:
    found = extract_prose(raw)
    assert (found.text, found.rule, found.language) == (text, rule, None)


def test_every_rule_for_prose_has_a_case() -> None:
    assert {case[3] for case in PROSE_CASES} == PROSE_RULES


# --- laws ------------------------------------------------------------------------------

NAMES = [known.name for known in LANGUAGES]
PIECES = st.sampled_from(
    ["```", "````", "~~~", "```python", "```go", "`", "\n", "\r\n", " ", "    ", "- ", "x = 1", ADD,
     JAVA, "<|im_end|>", "<|im_start|>assistant\n", "<think>", "</think>", "</s>", "Here it is:",
     "{", "(", "\x00", "\ud800", "é", "<?php"]
)  # fmt: skip
MESSES = st.one_of(st.text(max_size=300), st.lists(PIECES, max_size=40).map("".join))


@given(st.one_of(st.text(min_size=1, max_size=300), MESSES), st.sampled_from(NAMES))
@example("```\n```python\n```", "python")
@example("x\r", "go")
def test_a_fenced_snippet_comes_out_byte_for_byte(code: str, name: str) -> None:
    if not code.strip() or "<|" in code:  # control tokens at the end of a line do end a text
        return
    fence = fence_for(code)
    found = extract_code(f"Here it is:\n\n{fence}{name}\n{code}\n{fence}\n\nIt works.", name)
    assert (found.text, found.rule, found.language) == (code, "fence", name)


@settings(max_examples=300)
@given(MESSES, st.sampled_from(NAMES))
def test_no_text_makes_extraction_fail_and_no_answer_is_made_up(raw: str, name: str) -> None:
    code, prose = extract_code(raw, name), extract_prose(raw)
    assert code.rule in CODE_RULES
    assert prose.rule in PROSE_RULES
    assert (code.rule == "nothing") == (not code.text.strip())
    # Dedenting and dropping blocks take away; they add nothing but blank lines between parts.
    for text in (code.text, prose.text):
        assert all(line.strip() in raw for line in text.split("\n"))


@given(MESSES)
def test_every_block_has_text_before_and_after(raw: str) -> None:
    blocks, around = split_fences(raw)
    assert len(around) == len(blocks) + 1


ADVERSARIES = {
    "backticks": "`" * 200_000,
    "fences": "```\n" * 50_000,
    "opened anew": "```python\n" * 20_000,
    "opened anew with code": "```python\nx=1\n" * 14_000,
    "growing fences": "\n".join("`" * length + "a" for length in range(3, 630)),
    "glued": "```a\nx```\n~~~a\nx~~~\n" * 10_000,
    "single backticks": "` `" * 66_000,
    "alternating runs": "`` ` " * 40_000,
    "one long line": "x" * 200_000,
    "a long line before a fence": "x" * 199_000 + "```python\nx = 1",
    "spaces": " " * 200_000,
    "control tokens": "<|a|> x" * 28_000,
    "open control tokens": "<|" * 100_000,
    "thoughts": "<think>" * 28_000,
    "brackets": "(" * 200_000,
    "braces": "{" * 200_000,
    "a fence of brackets": "```python\n" + "([{" * 60_000,
    "templates": "a<" * 100_000,
    "digits and dots": "1." * 100_000,
    "prose": "This is a sentence about code.\n" * 6_500,
    "code": (ADD + "\n\n") * 6_000,
    "code and prose": (ADD + "\n\nThis adds two numbers.\n\n") * 3_500,
    "inline": "Use `f(x)` here. " * 12_000,
}


@pytest.mark.parametrize("name", ["python", "cpp", "csharp", "php"])
@pytest.mark.parametrize("kind", ADVERSARIES)
def test_200_kilobytes_of_malice_take_no_quadratic_time(kind: str, name: str) -> None:
    raw = ADVERSARIES[kind]
    start = time.process_time()
    extract_code(raw, name)
    extract_prose(raw)
    # A tenth of a second where nothing else runs; what is quadratic takes minutes.
    assert time.process_time() - start < 5
