"""The keywords whose unigrams weigh five times as much as others in the weighted n-gram match.

``REFERENCE`` are the lists of the reference implementation as they are: JavaScript's has ``True``
for ``true``; Go's lacks ``nil``; C++'s holds names that are no keywords
(``cin``, ``main``, ``MAX_RAND``); Java's and PHP's lack ``true``, ``false`` and ``null``.
``CORRECTED`` are the keywords and literal words of each language's own specification: Python 3.13,
JLS 21, C++20, ECMAScript 2024, Go 1.22, C# 12 and PHP 8.3.
"""

from __future__ import annotations

from collections.abc import Mapping


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


REFERENCE: Mapping[str, frozenset[str]] = {
    "python": _words(
        "False None True and as assert async await break case class continue def del elif else "
        "except finally for from global if import in is lambda match nonlocal not or pass raise "
        "return try type while with yield"
    ),
    "java": _words(
        "abstract assert boolean break byte case catch char class const continue default do "
        "double else enum extends final finally float for goto if implements import instanceof "
        "int interface long native new package private protected public return short static "
        "strictfp super switch synchronized this throw throws transient try void volatile "
        "while"
    ),
    "cpp": _words(
        "INT_MAX INT_MIN MAX_RAND NULL and and_eq asm auto bitand bitor bool break case catch "
        "char cin class compl const const_cast continue cout default delete do double "
        "dynamic_cast else endl enum explicit extern false float for friend goto if include "
        "inline int iomanip iostream long main mutable namespace new not not_eq npos operator or "
        "or_eq private protected public register reinterpret_cast return short signed sizeof "
        "static static_cast std string struct switch template this throw true try typedef typeid "
        "typename union unsigned using virtual void volatile wchar_t while xor xor_eq"
    ),
    "javascript": _words(
        "True await break case catch class const continue debugger default delete do else enum "
        "export extends false finally for function if implements import in instanceof interface "
        "let new null package private protected public return super switch static this throw try "
        "typeof var void while with yield"
    ),
    "go": _words(
        "break case chan const continue default defer else fallthrough false for func go goto if "
        "import interface map package range return select struct switch true type var"
    ),
    "csharp": _words(
        "abstract add alias as ascending async await base bool break by byte case catch char "
        "checked class const continue decimal default delegate descending do double dynamic else "
        "enum equals event explicit extern false finally fixed float for foreach from get global "
        "goto group if implicit in int interface internal into is join let lock long nameof "
        "namespace new notnull null object on operator orderby out override params partial "
        "private protected public readonly ref remove return sbyte sealed select set short "
        "sizeof stackalloc static string struct switch this throw true try typeof uint ulong "
        "unchecked unmanaged unsafe ushort using value var virtual void volatile when where "
        "while yield"
    ),
    "php": _words(
        "__halt_compiler abstract and array as break callable case catch class clone const "
        "continue declare default die do echo else elseif empty enddeclare endfor endforeach "
        "endif endswitch endwhile eval exit extends final for foreach function global goto if "
        "implements include include_once instanceof insteadof interface isset list namespace new "
        "or print private protected public require require_once return static switch throw trait "
        "try unset use var while xor"
    ),
}

_NO_CPP_KEYWORDS = _words(
    "INT_MAX INT_MIN MAX_RAND NULL cin cout endl include iomanip iostream main npos std string"
)

CORRECTED: Mapping[str, frozenset[str]] = {
    "python": REFERENCE["python"],
    "java": REFERENCE["java"]
    | _words("false non-sealed null permits record sealed true var yield"),
    "cpp": (REFERENCE["cpp"] - _NO_CPP_KEYWORDS)
    | _words(
        "alignas alignof char16_t char32_t char8_t co_await co_return co_yield concept consteval "
        "constexpr constinit decltype export noexcept nullptr requires static_assert "
        "thread_local"
    ),
    "javascript": (REFERENCE["javascript"] - {"True"}) | frozenset({"async", "of", "true"}),
    "go": REFERENCE["go"] | {"iota", "nil"},
    "csharp": REFERENCE["csharp"]
    | _words("and file init nint not nuint or record required scoped with"),
    "php": REFERENCE["php"]
    | _words("enum false finally fn match null parent readonly self true yield"),
}
