"""The languages of the workbench: endings, grammar, fence tags."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

from workbench.errors import UnknownName


@dataclass(frozen=True, slots=True)
class Language:
    """One programming language.

    ``name`` is how the workbench calls it, ``title`` how people do. ``grammar`` is
    ``module:function`` of its tree-sitter wheel. ``tags`` are the words that stand behind a code
    fence for it, all lower case; ``lexer`` is its name in Pygments.
    """

    name: str
    title: str
    endings: tuple[str, ...]
    grammar: str
    tags: tuple[str, ...]
    lexer: str
    line_comment: str


LANGUAGES: tuple[Language, ...] = (
    Language(
        "python",
        "Python",
        (".py", ".pyi", ".pyw"),
        "tree_sitter_python:language",
        ("python", "py", "python3"),
        "python",
        "#",
    ),
    Language("java", "Java", (".java",), "tree_sitter_java:language", ("java",), "java", "//"),
    Language(
        "cpp",
        "C++",
        (".cpp", ".cc", ".cxx", ".c++", ".hpp", ".hh", ".hxx", ".h", ".c"),
        "tree_sitter_cpp:language",
        ("cpp", "c++", "cc", "cxx", "c", "h", "hpp"),
        "cpp",
        "//",
    ),
    Language(
        "javascript",
        "JavaScript",
        (".js", ".mjs", ".cjs", ".jsx"),
        "tree_sitter_javascript:language",
        ("javascript", "js", "node", "jsx", "ecmascript"),
        "javascript",
        "//",
    ),
    Language("go", "Go", (".go",), "tree_sitter_go:language", ("go", "golang"), "go", "//"),
    Language(
        "csharp",
        "C#",
        (".cs",),
        "tree_sitter_c_sharp:language",
        ("csharp", "c#", "cs"),
        "csharp",
        "//",
    ),
    Language("php", "PHP", (".php",), "tree_sitter_php:language_php", ("php",), "php", "//"),
)

_BY_WORD = {
    word: language
    for language in LANGUAGES
    for word in (language.name, language.title.lower(), *language.tags)
}
_BY_ENDING = {ending: language for language in LANGUAGES for ending in language.endings}


def find_language(word: str) -> Language | None:
    """Return the language that a name, title or fence tag means, whatever its case."""
    return _BY_WORD.get(word.strip().lower())


def language(word: str) -> Language:
    """Return the language that ``word`` means.

    Raises:
        UnknownName: no language is called so.
    """
    found = find_language(word)
    if found is None:
        raise UnknownName("language", word, [known.name for known in LANGUAGES])
    return found


def language_of_path(path: str) -> Language | None:
    """Return the language that a file's ending says, or None."""
    return _BY_ENDING.get(PurePosixPath(path).suffix.lower())
