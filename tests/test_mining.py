"""Mining: what is asked for is no longer in the code, and held-out code was never trained on."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from workbench.corpus.entries import make_document
from workbench.corpus.grammar import outline
from workbench.corpus.mining import MAX_SHARED, MAX_TWINS, SPLITS, Mined, mine, near_sets
from workbench.corpus.querytext import NoQuery, make_query
from workbench.types import Document


def document(path: str, text: str, source: str = "folder:/code") -> Document:
    return make_document(path, text, source=source, revision=None, license=None)


def words(text: str) -> str:
    return " ".join("".join(c if c.isalnum() else " " for c in text.lower()).split())


NOUNS = ["lists", "maps", "trees", "graphs", "words", "files", "rows", "pages", "users", "prices"]
NOUNS += ["colours", "dates", "cities", "books", "planes", "birds", "shoes", "songs", "doors"]
NOUNS += ["walls", "pens", "keys", "cups", "lamps"]
VERBS = ["merge", "sort", "count", "split", "filter", "invert"]


def python_function(verb: str, noun: str, *, doc: bool = True) -> str:
    said = (
        f'    """{verb.title()} all {noun} by their weight.\n\n    More.\n    """\n' if doc else ""
    )
    return (
        f"def {verb}_{noun}(first, second):\n{said}"
        f"    {noun}_{verb} = first.{verb}(second, {noun})\n"
        f"    {verb}_total = sum({noun}_{verb}) + len(second.{noun})\n"
        f"    return {verb}_total, {noun}_{verb}\n"
    )


def python_corpus() -> list[Document]:
    return [
        document(f"{noun}/{verb}.py", f"import os\n\n\n{python_function(verb, noun)}\n\nX = 1\n")
        for noun in NOUNS
        for verb in VERBS
    ]


@pytest.fixture(scope="module")
def mined() -> Mined:
    return mine(python_corpus())


# One function a language; the documentation stands where its authors put it.
LANGUAGES = {
    "a.py": (
        "@cached\ndef merge(first, second):\n"
        '    """Merge two sorted lists into one.\n\n    :param first: a list\n    """\n'
        "    total = first + second\n    return sorted(total, key=first.index)\n"
    ),
    "a.java": (
        "class A {\n  /**\n   * Merge two sorted lists into one.\n   *\n   * @param first a list\n"
        "   */\n  @Override\n  public List merge(List first, List second) {\n"
        "    List total = first.plus(second);\n    return total.sorted(first, 1);\n  }\n}\n"
    ),
    "a.cpp": (
        "/// Merge two sorted lists into one.\ntemplate <class T>\n"
        "List<T> merge(List<T> first, List<T> second) {\n"
        "  List<T> total = first + second;\n  return total.sorted(first, 1);\n}\n"
    ),
    "a.js": (
        "/**\n * Merge two sorted lists into one.\n * @param {Array} first\n */\n"
        "export const merge = (first, second) => {\n"
        "  const total = first.concat(second);\n  return total.sort(first, 1);\n};\n"
    ),
    "a.go": (
        "package a\n\n// Merge merge two sorted lists into one.\n// Both may be empty.\n"
        "func Merge(first []int, second []int) []int {\n"
        "\ttotal := append(first, second...)\n\treturn sorted(total, first)\n}\n"
    ),
    "a.cs": (
        "class A {\n  /// <summary>\n  /// Merge two sorted lists into <see cref=\"one\"/>.\n"
        '  /// </summary>\n  /// <param name="first">A list.</param>\n  [Pure]\n'
        "  public List Merge(List first, List second) {\n"
        "    var total = first.Plus(second);\n    return total.Sorted(first, 1);\n  }\n}\n"
    ),
    "a.php": (
        "<?php\n/**\n * Merge two sorted lists into one.\n *\n * @param array $first\n */\n"
        "function merge($first, $second) {\n"
        "  $total = array_merge($first, $second);\n  return sorted($total, $first, 1);\n}\n"
    ),
}  # fmt: skip


@pytest.mark.parametrize("path", LANGUAGES)
def test_each_language_gives_the_sentence_and_loses_it(path: str) -> None:
    original = document(path, LANGUAGES[path])
    result = mine([original])
    (pair,) = result.pairs
    assert pair.query.lower() == "merge two sorted lists into one"
    assert pair.language == original.language
    (stripped,) = result.documents
    assert "sorted lists" not in stripped.text
    assert "param" not in stripped.text
    assert "sorted lists" in pair.documented
    assert stripped.language is not None
    parsed = outline(stripped.text, stripped.language)
    assert parsed is not None
    assert not parsed.root.has_error
    assert pair.text.count("\n") == pair.end_line - pair.start_line


def test_lines_of_a_pair_are_its_text_in_the_stripped_document(mined: Mined) -> None:
    texts = {one.path: one.text.split("\n") for one in mined.documents}
    assert len(mined.pairs) > 60
    for one in (*mined.pairs, *mined.functions):
        lines = texts[one.path][one.start_line - 1 : one.end_line]
        assert "\n".join(lines) == one.text
        assert lines[0].startswith("def ")


def test_stripping_removes_the_documentation_and_nothing_else(mined: Mined) -> None:
    for before, after in zip(python_corpus(), mined.documents, strict=True):
        noun, verb = before.path.removesuffix(".py").split("/")
        assert after.text == before.text.replace(
            python_function(verb, noun), python_function(verb, noun, doc=False)
        )


def test_a_query_is_no_longer_in_its_function(mined: Mined) -> None:
    assert all(words(pair.query) not in words(pair.text) for pair in mined.pairs)
    repeats = python_function("merge", "lists").replace(
        "return", 'log("Merge all lists by their weight")\n    return'
    )
    assert mine([document("a/b.py", repeats)]).counts["query still in the code"] == 1


def test_stripped_text_still_parses(mined: Mined) -> None:
    for one in mined.documents:
        compile(one.text, one.path, "exec")


def test_splits_are_disjoint_by_folder(mined: Mined) -> None:
    folders = {split: {pair.path.split("/")[0] for pair in mined.split(split)} for split in SPLITS}
    assert all(folders.values())
    assert not folders["train"] & (folders["dev"] | folders["test"])
    assert not folders["dev"] & folders["test"]


def test_a_split_depends_on_the_path_alone(mined: Mined) -> None:
    before = {pair.path: pair.split for pair in mined.pairs}
    some = [one for one in python_corpus() if one.path.startswith(("lists/", "users/"))]
    after = mine([*some, document("new/one.py", python_function("weigh", "new"))])
    assert {pair.path: pair.split for pair in after.pairs}.items() <= {
        **before,
        "new/one.py": after.pairs[-1].split,
    }.items()


def test_a_document_of_one_function_is_split_by_its_own_path() -> None:
    records = [
        document(f"pool/{noun}-{verb}.py", python_function(verb, noun), source="hf:x")
        for noun in NOUNS
        for verb in VERBS
    ]
    result = mine(records)
    shares = {split: len(result.split(split)) / len(result.pairs) for split in SPLITS}
    assert shares["train"] == pytest.approx(0.8, abs=0.12)
    assert min(shares.values()) > 0.02


def test_the_same_documents_give_the_same_pairs(mined: Mined) -> None:
    again = mine(python_corpus())
    assert again == mined
    other = python_corpus()
    other[0] = replace(other[0], text=other[0].text.replace("weight", "height"))
    assert mine(other).digest != mined.digest


def test_counts_say_what_became_of_every_function(mined: Mined) -> None:
    corpus = [
        *python_corpus(),
        document("b/x.py", "def f():\n    pass\n\n\ndef g(a): return a\n"),
        document("b/y.py", python_function("sort", "cars", doc=False)),
    ]
    counts = dict(mine(corpus).counts)
    functions, pairs = counts.pop("functions"), counts.pop("pairs")
    assert sum(counts.pop(split) for split in SPLITS) == pairs
    assert pairs + sum(counts.values()) == functions == len(mined.functions) + 3
    assert counts["function too short"] == 2
    assert counts["no documentation"] == 1


def test_near_duplicates_are_each_others_twins() -> None:
    long = python_function("weigh", "lists") + "".join(
        f"    step_{i} = first.part_{i}(second, {i})\n" for i in range(30)
    )
    near = long.replace("step_7", "stage_7").replace("Weigh all", "Compare any")
    result = mine(
        [
            *(
                document(f"a/{i}.py", f"import os\n{text}")
                for i, text in enumerate((long, near, near))
            ),
            *python_corpus(),
        ]
    )
    found = {pair.id: pair for pair in result.pairs}
    first, second, third = result.functions[:3]
    assert set(found[first.id].twins) == {second.id, third.id}
    for pair in result.pairs:
        assert pair.id not in pair.twins
        assert all(pair.id in found[twin].twins for twin in pair.twins if twin in found)


def test_a_twin_without_a_query_of_its_own_is_a_right_answer_too() -> None:
    function = python_function("merge", "lists")
    bare = python_function("merge", "lists", doc=False)
    result = mine([document("a/x.py", function), document("a/y.py", bare)])
    (pair,) = result.pairs
    assert pair.twins == (result.functions[1].id,)


def test_functions_under_the_same_words_answer_each_other_unless_they_are_many() -> None:
    def corpus(count: int) -> list[Document]:
        texts = [
            python_function(VERBS[i], NOUNS[i]).replace(
                f"{VERBS[i].title()} all {NOUNS[i]} by their weight", "Do what is asked for here"
            )
            for i in range(count)
        ]
        return [document(f"a/{i}x/y.py", f"import x\n{text}") for i, text in enumerate(texts)]

    few = mine(corpus(2))
    assert {len(pair.twins) for pair in few.pairs} <= {1}
    many = mine(corpus(MAX_SHARED + 1))
    assert many.pairs == ()
    assert many.counts["query shared by many"] == MAX_SHARED + 1


def test_training_never_sees_a_near_duplicate_of_what_is_held_out(mined: Mined) -> None:
    held_out = mined.split("test")[0]
    (train_folder, *_) = mined.split("train")[0].path.split("/")
    copied = document(f"{train_folder}/copy.py", f"import os\n{held_out.documented}\n")
    said = python_function("shuffle", "cards").replace(
        "Shuffle all cards by their weight", held_out.query
    )
    asked = document(f"{train_folder}/asked.py", f"import os\n{said}\n")
    result = mine([*python_corpus(), copied, asked])
    assert not [pair for pair in result.pairs if pair.path in (copied.path, asked.path)]
    assert held_out.id in {pair.id for pair in result.split("test")}


def test_a_crowd_of_copies_gives_no_pairs_and_takes_no_time_in_the_square() -> None:
    text = "\n\n".join(
        python_function("merge", "lists").replace("def merge_lists", f"def merge_{i}")
        for i in range(4 * MAX_TWINS)
    )
    result = mine([document("a/b.py", text)])
    assert result.pairs == ()
    assert len(result.functions) == 4 * MAX_TWINS
    assert result.counts["query shared by many"] == 4 * MAX_TWINS


@given(
    st.lists(st.frozensets(st.integers(0, 30), min_size=1, max_size=12), min_size=2, max_size=30)
)
@hypothesis_settings(max_examples=25, deadline=None)
def test_near_sets_are_near_symmetric_and_never_themselves(sets: list[frozenset[int]]) -> None:
    near = near_sets(sets, range(len(sets)), 0.8, what="Comparing")
    for i, others in near.items():
        assert i not in others
        for j in others:
            assert len(sets[i] & sets[j]) / len(sets[i] | sets[j]) >= 0.8
            assert i in near[j]
    for i, j in ((i, j) for i in near for j in near if i != j):
        assert (j in near[i]) or sets[i] != sets[j]


def test_minhash_finds_nearly_all_near_duplicates() -> None:
    rng = random.Random(0)
    sets = []
    for _ in range(150):
        one = rng.sample(range(100_000), 60)
        sets += [frozenset(one), frozenset(one[:-5])]  # Jaccard .92
    near = near_sets(sets, range(0, len(sets), 2), 0.8, what="Comparing")
    assert sum(near[i] == {i + 1} for i in range(0, len(sets), 2)) >= 148


# --- the sentence ----------------------------------------------------------------------

SENTENCES = [
    ("Return the sum of two numbers.", "Return the sum of two numbers"),
    ("Sum numbers. It adds all of them. More.", "Sum numbers. It adds all of them"),
    ("Return it.\n\nArgs:\n    a: first", "query too short"),
    ("Read a file\nline by line.\n\n>>> f()\n1", "Read a file line by line"),
    ("Read a file line by line\n:param a: the file", "Read a file line by line"),
    ("Read a file line by line\n>>> f(1)", "Read a file line by line"),
    ("Use :class:`~a.Foo` and ``bar`` to *open* it", "Use a.Foo and bar to open it"),
    ("/** Opens {@link Foo} for the <b>first</b> time */", "Opens Foo for the first time"),
    ("# Open the file, e.g. the first one. Then close.", "Open the file, e.g. the first one"),
    ("split(s, sep) -> list\n\nx", "query too short"),
    ("split(s, sep) -> Cut a string at a separator", "Cut a string at a separator"),
    (":return: the number of things", "no documentation"),
    ("Parameters\n----------\na : int", "no documentation"),
    ("", "no documentation"),
    ("Initialize self.  See help(type(self)) for accurate signature.", "boilerplate"),
    ("TODO: write this thing down", "boilerplate"),
    ("Copyright 2020 by the authors of it", "boilerplate"),
    ("Licensed under the Apache License", "boilerplate"),
    ("This file is autogenerated, do not edit it", "boilerplate"),
    ("x = 1; y = 2; z[3] = x ** y", "query not of words"),
    ("=====================", "no documentation"),
    ("word " * 41, "query too long"),
]


@pytest.mark.parametrize(("documentation", "expected"), SENTENCES)
def test_the_sentence_of_a_documentation(documentation: str, expected: str) -> None:
    try:
        found = make_query(documentation)
    except NoQuery as reason:
        found = str(reason)
    assert found == expected


@given(st.text(max_size=400))
@hypothesis_settings(max_examples=200, deadline=None)
def test_any_documentation_gives_one_line_or_a_reason(documentation: str) -> None:
    try:
        query = make_query(documentation)
    except NoQuery as reason:
        assert str(reason)
    else:
        assert len(query.splitlines()) == 1
        assert 3 <= len(query.split()) <= 40


SAYS, BODY = "'''Say what this does.'''", "b = a + a + a\n    return b"
HOSTILE = {
    "comments only": "# a comment that says something\n" * 50,
    "unfinished": "def f(a):\n    '''never closed\n    x = 1\n    return x\n",
    "docstring is all": 'def f():\n    """Say what this does not do here."""\n',
    "one row": 'def f(a): "Say what this does in a row."; return a + a * a - a\n',
    "behind the docstring": f"def f(a):\n    {SAYS}; {BODY}\n",
    "bytes": f"def f(a):\n    b{SAYS}\n    {BODY}\n",
    "format": f"def f(a):\n    f{SAYS}\n    {BODY}\n",
    "returns": f"def f(a):\n    {SAYS}\n    {BODY}\n".replace("\n", "\r\n"),
    "form feed": f"def f(a):\n    {SAYS}\n    {BODY}\n".replace("what", "what\x0c"),
    "nothing": "\n",
    "surrogate": f"def f(a):\n    {SAYS}\n    {BODY}\n".replace("what", "what \ud800"),
    "wide": f"def ä(a):\n    {SAYS}\n    {BODY}\n".replace("what", "was Ärger 漢字"),
    "no newline": f"def f(a):\n    {SAYS}\n    {BODY}",
    "deep": "(" * 2000 + "\n",
    "no language": "Just some words of prose.\n",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_odd_documents_are_mined_without_harm(name: str) -> None:
    text = HOSTILE[name]
    path = "a/x.txt" if name == "no language" else "a/x.py"
    one = Document(path, text, "python" if path.endswith("py") else None, None, "s", None, "")
    result = mine([one])
    (stripped,) = result.documents
    for pair in result.pairs:
        rows = stripped.text.split("\n")[pair.start_line - 1 : pair.end_line]
        assert [row.removesuffix("\r") for row in rows] == pair.text.split("\n")
        assert words(pair.query) not in words(stripped.text)
    before = outline(text, "python")
    after = outline(stripped.text, "python")
    if before is not None and not before.root.has_error:
        assert after is not None
        assert not after.root.has_error
    if name in ("docstring is all", "one row", "behind the docstring", "bytes", "format"):
        assert stripped.text == text
        assert not result.pairs
    if name in ("returns", "form feed", "surrogate", "wide", "no newline"):
        assert len(result.pairs) == 1


def test_a_licence_and_a_distant_comment_are_not_taken() -> None:
    code = (
        "func Merge(first []int) []int {\n\ttotal := append(first, 1)\n\treturn sorted(total)\n}\n"
    )
    licence = "// Copyright 2020 The Authors of this.\n"
    for text in (
        licence + "\npackage a\n\n" + code,
        "package a\n\n// Far away it stands.\n\n" + code,
    ):
        result = mine([document("a/x.go", text)])
        assert result.pairs == ()
        assert result.documents[0].text == text


def test_a_comment_over_a_class_belongs_to_the_class() -> None:
    text = (
        "// A class that merges sorted lists.\nclass A { int merge(int first) {\n"
        "  int total = first + second;\n  return sorted(total, first, third);\n} }\n"
    )
    result = mine([document("a/X.java", text)])
    assert result.pairs == ()
    assert result.documents[0].text == text
