"""Chunkers: no line is lost, every chunk knows where it stands, and what it is called."""

from __future__ import annotations

import hashlib
import re
import sys
import time
from itertools import pairwise
from textwrap import dedent

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from workbench.corpus import CHUNKERS, chunk_corpus, crawl, make_chunker
from workbench.corpus import grammar as grammar_module
from workbench.corpus.grammar import KINDS
from workbench.errors import UnknownName
from workbench.languages import LANGUAGES
from workbench.types import Chunk, Document

NAMES = [language.name for language in LANGUAGES]


def document(text: str, language: str | None = "python", path: str = "a") -> Document:
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return Document(path, text, language, "MIT", "folder:/x", None, digest)


def outline(text: str, language: str, **options: int) -> list[tuple[str | None, int, int]]:
    chunks = make_chunker("syntax", **options).chunk(document(text, language))
    return [(chunk.symbol, chunk.start_line, chunk.end_line) for chunk in chunks]


def check_laws(source: Document, chunks: list[Chunk]) -> None:
    lines = re.split("\r?\n", source.text)
    covered: set[int] = set()
    for chunk in chunks:
        assert 1 <= chunk.start_line <= chunk.end_line <= len(lines)
        assert chunk.text == "\n".join(lines[chunk.start_line - 1 : chunk.end_line])
        assert lines[chunk.start_line - 1].strip()
        assert lines[chunk.end_line - 1].strip()
        assert (chunk.path, chunk.source, chunk.license, chunk.language) == (
            source.path,
            source.source,
            source.license,
            source.language,
        )
        covered |= set(range(chunk.start_line, chunk.end_line + 1))
    lost = [row for row, line in enumerate(lines, 1) if line.strip() and row not in covered]
    assert not lost
    assert len({chunk.id for chunk in chunks}) == len(chunks)
    assert chunks == sorted(chunks, key=lambda chunk: chunk.start_line)


# Pieces of all seven languages, put together at random: mostly broken, sometimes whole.
PIECES = [
    "def f(x):", "    return x", "class A:", "@wraps(f)", "# note", '"""', "class B {", "}", "{",
    "int main() { return 0; }", "  void run() {", "public class C {", "namespace n {", "func g() {",
    "type T struct {", "const h = () => {", "};", "export default function k() {", "<?php", "?>",
    "function p() {", "/* a", "*/", "// b", "template <typename T>", "import os", "x = [", "]", "",
    " ", "\t", "\f", "\r", "\u2028", "\x85", "é = 'ü'", "\0", "#include <x>", "#ifdef X", "#endif",
    "else:", "if True:", "a" * 300, "\U0001f600",
]  # fmt: skip
broken = st.lists(st.sampled_from(PIECES), max_size=60).flatmap(
    lambda pieces: st.sampled_from(["\n", "\r\n"]).map(lambda end: end.join(pieces))
)
languages = st.sampled_from([*NAMES, None])


@settings(max_examples=150, deadline=None)
@given(text=st.one_of(st.text(max_size=200), broken), language=languages)
@example(text="", language="python")
@example(text="\n\n", language="java")
@example(text="x = 1", language="python")
@example(text="x = '\ud800'\n", language="python")
@example(text="class A {" * 500, language="java")
@example(text="class A {\n" * 500, language="csharp")
def test_no_line_is_lost_and_every_chunk_maps_back(text: str, language: str | None) -> None:
    source = document(text, language)
    for chunker in (
        make_chunker("syntax"),
        make_chunker("syntax", characters=40, lines=3),
        make_chunker("lines"),
        make_chunker("lines", characters=40, lines=3, overlap=2),
    ):
        check_laws(source, chunker.chunk(source))


@settings(max_examples=50, deadline=None)
@given(text=broken, language=st.sampled_from(NAMES))
def test_the_syntax_chunker_holds_each_line_once_and_within_its_limits(
    text: str, language: str
) -> None:
    chunks = make_chunker("syntax", characters=120, lines=8).chunk(document(text, language))
    rows = [row for chunk in chunks for row in range(chunk.start_line, chunk.end_line + 1)]
    assert len(rows) == len(set(rows))
    for chunk in chunks:
        count = chunk.end_line - chunk.start_line + 1
        assert count == 1 or (count <= 8 and len(chunk.text) <= 120)


def test_every_registered_chunker_keeps_the_laws_on_the_standard_library() -> None:
    corpus = crawl("stdlib")
    wanted = {"heapq.py", "enum.py", "os.py", "this.py", "re/_parser.py"}
    documents = [d for d in corpus.documents() if d.path in wanted]
    assert len(documents) == len(wanted)
    for entry in CHUNKERS:
        chunker = make_chunker(entry.name)
        for source in documents:
            chunks = chunker.chunk(source)
            check_laws(source, chunks)
            assert chunks == chunker.chunk(source)


def test_heapq_merge_is_found_at_its_lines_in_the_standard_library() -> None:
    corpus = crawl("stdlib")
    chunks = list(chunk_corpus(corpus))
    assert 8_000 < len(chunks) < 20_000
    assert len({chunk.id for chunk in chunks}) == len(chunks)
    found = [c for c in chunks if c.path == "heapq.py" and c.symbol == "merge"]
    text = next(d.text for d in corpus.documents() if d.path == "heapq.py")
    lines = text.split("\n")
    start = next(row for row, line in enumerate(lines, 1) if line.startswith("def merge("))
    assert found[0].start_line == start
    assert all(a.end_line < b.start_line for a, b in pairwise(found))
    between = lines[start - 1 : found[-1].end_line]
    assert not [line for line in between[1:] if line and not line.startswith((" ", "#"))]
    assert lines[found[-1].end_line] == ""


# --- what is cut where -----------------------------------------------------------------

# A language, a source, and for each chunk its symbol and its lines.
CASES = {
    "python: head, functions with decorator and comment, main": (
        "python",
        """\
        import os
        X = 1

        # Says hello.
        @cache
        def hello(name):
            return name

        async def wait():
            def inner():
                pass
            return inner

        if __name__ == "__main__":
            hello(X)
            wait()
            print()
            exit()
        """,
        [(None, 1, 2), ("hello", 4, 7), ("wait", 9, 12), (None, 14, 18)],
    ),
    "python: an alias goes with the function before, a heading with the one after": (
        "python",
        """\
        def f():
            pass
        g = f

        # --- more ---

        def h():
            pass
        """,
        [("f", 1, 3), ("h", 5, 8)],
    ),
    "python: functions under a condition": (
        "python",
        """\
        try:
            from fast import f
        except ImportError:
            def f():
                return 1
        """,
        [(None, 1, 3), ("f", 4, 5)],
    ),
    "java": (
        "java",
        """\
        package a;
        import java.util.*;

        /** A box. */
        @Deprecated
        public class Box<T> {
            private T t;
            public Box(T t) { this.t = t; }
            T get() { return t; }
        }
        enum E { A, B }
        record P(int x) { P { if (x < 0) throw new Error(); } }
        """,
        [(None, 1, 2), ("Box", 4, 10), ("E", 11, 11), ("P", 12, 12)],
    ),
    "cpp": (
        "cpp",
        """\
        #include <vector>
        #define N 3

        namespace ns {
        // Doubles.
        template <typename T>
        T *twice(T x) {
            return x + x;
        }

        struct Point { int x, y; };
        }
        int& ns::Foo::bar(int x) const {
            return x;
        }
        Foo::~Foo() {}
        bool Foo::operator==(const Foo& o) { return true; }
        """,
        [
            (None, 1, 4),
            ("twice", 5, 9),
            ("Point", 11, 12),
            ("ns.Foo.bar", 13, 15),
            ("Foo.~Foo", 16, 16),
            ("Foo.operator==", 17, 17),
        ],
    ),
    "javascript": (
        "javascript",
        """\
        import x from "x";

        /** Adds. */
        export const add = (a, b) => {
          return a + b;
        };
        function* walk() { yield 1; }
        exports.later = async function () {};
        export default class A { m() {} }
        const o = {
          p: function () { return 1; },
          q() { return 2; },
        };
        """,
        [
            (None, 1, 1),
            ("add", 3, 6),
            ("walk", 7, 7),
            ("exports.later", 8, 8),
            ("A", 9, 10),
            ("p", 11, 11),
            ("q", 12, 13),
        ],
    ),
    "go": (
        "go",
        """\
        package main

        // Stack is one.
        type Stack[T any] struct {
            items []T
        }

        // Push adds.
        func (s *Stack[T]) Push(x T) {
            s.items = append(s.items, x)
        }
        func main() {}
        """,
        [(None, 1, 1), ("Stack", 3, 6), ("Stack.Push", 8, 11), ("main", 12, 12)],
    ),
    "csharp": (
        "csharp",
        """\
        using System;
        namespace A.B;

        /// <summary>A thing.</summary>
        [Serializable]
        class Thing {
            public int P { get; set; }
            public Thing() { }
            void M() { }
        }
        interface I { void F(); }
        """,
        [(None, 1, 2), ("Thing", 4, 10), ("I", 11, 11)],
    ),
    "php": (
        "php",
        """\
        <?php
        namespace A;

        /** Says hello. */
        #[Pure]
        function hello() {
            return 1;
        }
        trait T { function t() {} }
        class B { use T; public function m() {} }
        """,
        [(None, 1, 2), ("hello", 4, 8), ("T", 9, 9), ("B", 10, 10)],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_definitions_are_cut_with_their_names_and_lines(case: str) -> None:
    language, text, expected = CASES[case]
    assert outline(dedent(text), language) == expected


def test_every_language_has_a_grammar_and_a_case() -> None:
    assert set(KINDS) == set(NAMES) == {language for language, _, _ in CASES.values()}


# A class of two long methods in each language: head, method, method, rest.
LONG = {
    "python": ("class A:", "    def {}(self):", "        x = 1", ""),
    "java": ("class A {", "    void {}() {", "        x = 1;", "    }\n"),
    "cpp": ("class A {", "    void {}() {", "        x = 1;", "    }\n"),
    "javascript": ("class A {", "    {}() {", "        x = 1;", "    }\n"),
    "csharp": ("class A {", "    void {}() {", "        x = 1;", "    }\n"),
    "php": ("<?php class A {", "    function {}() {", "        $x = 1;", "    }\n"),
}


@pytest.mark.parametrize("language", LONG)
def test_a_large_class_is_cut_into_its_methods(language: str) -> None:
    head, method, body, end = LONG[language]
    field = {"python": "    y = 2", "php": "    var $y = 2;"}.get(language, "    int y = 2;")
    if language == "javascript":
        field = "    y = 2;"
    methods = [
        f"{method.replace('{}', name)}\n" + f"{body}\n" * 30 + end for name in ("one", "two")
    ]
    text = f"{head}\n" + f"{field}\n" * 8 + "".join(methods)
    if language != "python":
        text += "}\n"
    size = 31 + bool(end)
    last = 9 + 2 * size + (language != "python")
    assert outline(text, language) == [
        ("A", 1, 9),
        ("A.one", 10, 9 + size),
        ("A.two", 10 + size, last),
    ]


def test_small_methods_are_joined_under_the_name_of_their_class() -> None:
    text = "class A:\n" + "".join(
        f"    def m{i}(self):\n" + "        pass\n" * 6 + "\n" for i in range(20)
    )
    chunks = outline(text, "python")
    assert {symbol for symbol, _, _ in chunks} == {"A"}
    assert len(chunks) == 4
    assert all(end - start < 40 for _, start, end in chunks)


def test_an_inner_class_is_named_with_the_outer_one() -> None:
    body = "            x = 1\n" * 45
    text = f"class Outer:\n    class Inner:\n        def method(self):\n{body}"
    assert outline(text, "python") == [("Outer", 1, 1), ("Outer.Inner", 2, 48)]


def test_a_long_function_is_cut_at_statements_and_keeps_its_name() -> None:
    block = "    if x:\n" + "        y = 1\n" * 9
    chunks = outline("def f(x):\n" + block * 20, "python")
    assert len(chunks) == 3
    assert {symbol for symbol, _, _ in chunks} == {"f"}
    assert all((start - 2) % 10 == 0 for _, start, _ in chunks[1:])


SIGNATURES = {
    "python": ("class Store(Base):", "    def get(self,\n        key):", "", ""),
    "java": ("class Store<T> extends Base {", "  int get(\n      int key) {", "  }", "}"),
    "cpp": ("class Store : public Base {", "  int get(\n      int key) {", "  }", "};"),
    "javascript": ("class Store extends Base {", "  get(\n      key) {", "  }", "}"),
    "csharp": ("class Store : Base {", "  int get(\n      int key) {", "  }", "}"),
    "php": ("<?php\nclass Store extends Base {", "  function get(\n   $key) {", "  }", "}"),
}


@pytest.mark.parametrize("language", SIGNATURES)
def test_a_piece_of_a_long_method_carries_its_class_and_its_signature(language: str) -> None:
    head, method, close, end = SIGNATURES[language]
    statement = "pass" if language == "python" else "go();"
    body = f"        {statement}\n" * 100
    text = f"{head}\n{method}\n{body}{close}\n{end}\n"
    chunks = make_chunker("syntax").chunk(document(text, language))
    assert len(chunks) > 1
    assert chunks[0].header == ""
    first, second = chunks[-1].header.split("\n")
    assert first.startswith("class Store")
    assert "Base" in first
    assert "get(" in second
    assert "key" in second
    assert first not in chunks[-1].text
    assert second not in chunks[-1].text


def test_a_function_of_go_that_was_cut_carries_its_signature() -> None:
    text = "package p\n\nfunc (s *Store) Get(key int) int {\n" + "\trun()\n" * 200 + "}\n"
    chunks = make_chunker("syntax").chunk(document(text, "go"))
    assert chunks[-1].header == "func (s *Store) Get(key int) int"


def test_what_stands_at_the_top_of_a_file_has_no_header() -> None:
    text = "import os\n\n\ndef f():\n    return 1\n\n\nclass A:\n    x = 1\n"
    assert [chunk.header for chunk in make_chunker("syntax").chunk(document(text))] == ["", "", ""]


def test_an_id_changes_with_the_header() -> None:
    body = "    def get(self):\n" + "        pass\n" * 100
    one, other = (
        make_chunker("syntax").chunk(document(f"class A({base}):\n{body}")) for base in ("B", "C")
    )
    assert one[-1].text == other[-1].text
    assert one[-1].id != other[-1].id


def test_the_recursive_chunker_cuts_where_langchain_does() -> None:
    from langchain_text_splitters import Language, RecursiveCharacterTextSplitter

    text = "".join(f"def f{i}(a):\n    b = a + {i}\n    return b\n\n\n" for i in range(100))
    splitter = RecursiveCharacterTextSplitter.from_language(
        Language.PYTHON, chunk_size=500, chunk_overlap=0
    )
    theirs = [piece.strip() for piece in splitter.split_text(text)]
    ours = make_chunker("recursive", characters=500, overlap=0).chunk(document(text))
    assert [chunk.text for chunk in ours] == theirs


def test_a_syntax_error_costs_only_what_it_is_in() -> None:
    text = "def good():\n    return 1\n\n\ndef bad(:\n    return (\n\n\nclass A:\n    x = 1\n"
    symbols = {chunk[0] for chunk in outline(text, "python")}
    assert "good" in symbols
    assert "bad" not in symbols


def test_prose_is_cut_at_blank_lines() -> None:
    text = '"""\n' + ("word " * 10 + "\n") * 25 + "\n" + ("word " * 10 + "\n") * 25 + '"""\n'
    assert outline(text, "python") == [(None, 1, 26), (None, 28, 53)]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_form_feeds_and_line_separators_do_not_end_a_line(end: str) -> None:
    text = end.join(["x = 1\f", "s = '\u2028\x85'", "def f():", "    return s"])
    assert outline(text, "python") == [(None, 1, 2), ("f", 3, 4)]


def test_lines_of_an_unknown_language_become_windows_that_overlap() -> None:
    text = "".join(f"line {row}\n" for row in range(1, 151))
    chunks = make_chunker("syntax").chunk(document(text, None))
    assert [(c.symbol, c.start_line, c.end_line) for c in chunks] == [
        (None, 1, 60),
        (None, 51, 110),
        (None, 101, 150),
    ]


def test_a_parser_that_does_not_end_is_stopped_and_windows_stand_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(grammar_module, "PARSE_SECONDS", 0.2)
    source = document("a;\n" * 60_000, "csharp")
    start = time.thread_time()
    chunks = make_chunker("syntax").chunk(source)
    assert time.thread_time() - start < 3
    assert chunks == make_chunker("lines").chunk(source)


@pytest.mark.parametrize("language", NAMES)
def test_hostile_text_takes_no_quadratic_time(language: str) -> None:
    for text in ("(" * 100_000, "}\n" * 20_000, "class A {\n" * 2_000, '"""\n' * 10_000):
        start = time.thread_time()
        assert make_chunker("syntax").chunk(document(text, language))
        assert time.thread_time() - start < 5


@pytest.mark.skipif(sys.platform != "linux", reason="other systems count in other units")
@pytest.mark.parametrize("language", ["java", "csharp"])
@pytest.mark.parametrize("bomb", ["a<", "é <\n"])
def test_nested_generics_take_no_gigabytes(language: str, bomb: str) -> None:
    source = document(bomb * 20_000, language)
    import resource

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    check_laws(source, make_chunker("syntax").chunk(source))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kB


def test_an_id_says_source_path_lines_and_text() -> None:
    text = "def f():\n    return 1\n"
    chunker = make_chunker()
    (chunk,) = chunker.chunk(document(text))
    assert re.fullmatch("[0-9a-f]{32}", chunk.id)
    assert chunk.id == chunker.chunk(document(text))[0].id
    others = [document(text, path="b"), document("\n" + text), document(text.replace("1", "2"))]
    assert len({chunk.id, *(chunker.chunk(other)[0].id for other in others)}) == 4


def test_a_fingerprint_changes_with_every_setting() -> None:
    prints = [
        make_chunker("syntax").fingerprint,
        make_chunker("syntax", characters=1000).fingerprint,
        make_chunker("syntax", lines=40).fingerprint,
        make_chunker("lines").fingerprint,
        make_chunker("lines", characters=1000).fingerprint,
        make_chunker("lines", lines=40).fingerprint,
        make_chunker("lines", overlap=0).fingerprint,
    ]
    assert len(set(prints)) == len(prints)


def test_an_unknown_chunker_gets_the_nearest_name() -> None:
    with pytest.raises(UnknownName, match="Did you mean syntax"):
        make_chunker("sintax")
