"""Exact match and AST match: what counts as the same text, and as the same tree."""

from __future__ import annotations

import pytest
from codebleu_table import PROGRAMS

from workbench.errors import UnknownName
from workbench.metrics.code_match import ast_match, exact_match, same_text, same_tree
from workbench.types import Answer, Example, Question, Reference


def example(*texts: str, target: str | None = "python") -> Example:
    return Example(Question("1", "generate", "", target_language=target), Reference(texts))


def answer(text: str, language: str | None = None) -> Answer:
    return Answer(text, text, language, "test")


@pytest.mark.parametrize(
    ("text", "right", "same"),
    [
        ("a = 1\r\nb = 2  \n", "a = 1\nb = 2", True),
        ("\n\na\rb\n \n", "a\nb", True),
        ("a\n\nb", "a\nb", False),
        ("  a", "a", False),
        ("\ta", "    a", False),
        ("a = 1  # one", "a = 1", False),
        ("a  = 1", "a = 1", False),
        ("", "\n \n", True),
    ],
)
def test_texts_are_the_same_but_for_line_ends_and_blanks_at_them(text, right, same):
    assert same_text(text, right) is same


SAME = [
    ("python", "a=1 # one", "a = 1", True),
    ("python", "f(a,\n  b)", "f(a, b)", True),
    ("python", "a = 1 + \\\n    2", "a = 1 + 2", True),
    ("python", "if a:\n  b\n  c", "if a:\n    b\n    c", True),
    ("python", "if a:\n  b\nc", "if a:\n  b\n  c", False),
    ("python", "a + b", "a - b", False),
    ("python", "a not  in b", "a not in b", True),
    ("python", "a not in b", "a in b", False),
    ("python", "x = a", "x = b", False),
    ("python", "'a  b'", "'a b'", False),
    ("python", "f('a' # x\n'b')", "f('a' 'b')", True),
    ("python", "def f():\n    '''Say.'''\n    return 1", "def f():\n    return 1", False),
    ("python", "# nothing", "", True),
    ("python", "a = (1)", "a = 1", False),
    ("java", "int a; /* one */ int b; // two", "int a;\nint b;", True),
    ("java", 'String s = "a // b";', 'String s = "a";', False),
    ("cpp", "#define A 1\nint a=A;", "#define A 1\nint a = A;", True),
    ("javascript", "`a ${b} c`", "`a ${b}  c`", False),
    ("javascript", "f( a )", "f(a);", False),
    ("go", "func f(a int){ return }", "func f( a int ) {\n\treturn\n}", True),
    ("csharp", "class A{int F()=>1;}", "class A { int F() => 1; /* x */ }", True),
    ("php", "$a=1; # one", "<?php\n$a = 1;", True),
    ("php", '<?php $a = "b  $c";', '<?php $a = "b $c";', False),
    ("go", "func f( {", "func f( {", True),
    ("go", "func f( {", "func f() {}", False),
]


@pytest.mark.parametrize(("language", "text", "right", "same"), SAME)
def test_trees_are_the_same_but_for_comments_and_layout(language, text, right, same):
    assert same_tree(text, right, language) is same
    assert same_tree(right, text, language) is same


@pytest.mark.parametrize("language", PROGRAMS)
def test_what_is_the_same_text_is_the_same_tree_and_no_other_program_is(language):
    programs = PROGRAMS[language]
    for number, text in enumerate(programs):
        spread = text.replace("\n", " \n\n")
        if "<html>" not in text:  # in which blanks are text
            assert same_tree(f"\n{spread}", text, language)
        assert [same_tree(text, other, language) for other in programs].index(True) == number


def test_an_answer_matches_where_any_reference_does():
    for metric in (exact_match(), ast_match()):
        assert metric.score(answer("b"), example("a", "b")).value == 1.0
        assert metric.score(answer("c"), example("a", "b")).value == 0.0
        assert metric.verdict and metric.higher_is_better


def test_the_language_is_that_wanted_or_else_that_of_the_answer():
    comment = answer("a // b", "java")
    assert ast_match().score(comment, example("a", target="javascript")).value == 1.0
    assert ast_match().score(comment, example("a", target=None)).value == 1.0
    assert ast_match("python").score(comment, example("a", target="java")).value == 0.0


def test_what_cannot_be_judged_has_no_value():
    for metric in (exact_match(), ast_match()):
        nothing = metric.score(answer("a"), example())
        assert (nothing.value, nothing.detail) == (None, "no reference")
        assert metric.aggregate([[nothing]]) is None
    for target, cause in [(None, "no language"), ("cobol", "no grammar for cobol")]:
        assert ast_match().score(answer("a"), example("a", target=target)).detail == cause
    with pytest.raises(UnknownName):
        ast_match("cobol")


def test_the_figure_is_the_mean_over_questions_of_the_mean_over_samples():
    metric = exact_match()
    right, wrong = (metric.score(answer(text), example("a")) for text in "ab")
    assert metric.aggregate([[right], [wrong, wrong, right, wrong]]) == pytest.approx(0.625)


def test_signatures_say_what_is_left_out():
    assert exact_match().signature == "exact match|norm:line-ends,trailing-blanks"
    assert ast_match().signature == "AST match|lang:each|without:comments,layout"
    assert ast_match("C#").signature == "AST match|lang:csharp|without:comments,layout"
