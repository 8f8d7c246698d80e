"""The sentence in a function's documentation that says what it does, as a query."""

from __future__ import annotations

import re

MIN_WORDS, MAX_WORDS = 3, 40
FEW_WORDS = 5
"""A first sentence with fewer words than this is followed by the second."""

# What stands around the text of a comment, in seven languages.
_MARKS = re.compile(r"^\s*(?:/\*+!?|\*+/|\*+(?!\*)|///?!?|#+!?)?\s?|\s*\*+/\s*$")
# Where the part about the whole function ends: parameters, examples, lists, titles.
_TITLES = (
    "args?|arguments?|param(?:eter)?s?|returns?|raises?|yields?|examples?|inputs?|outputs?|usage"
)
_SECTION = re.compile(
    rf"""^\s*(?:
        [@\\][a-zA-Z]+ | :\w+[^:]*: | >>> | \.\.\ | [-=~*+]\s | [-=~^*_]{{3,}} | \d+[.)]\s |
        (?:{_TITLES})\s*: |
        (?:{_TITLES}|notes?|see\ also|throws|attributes?|references?|warnings?|kwargs)\s*:?\s*$
    )""",
    re.VERBOSE | re.IGNORECASE,
)
_SUMMARY = re.compile(r"<summary>(.*?)</summary>", re.DOTALL | re.IGNORECASE)
_MARKUP: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"""<(?:see|paramref|typeparamref|seealso)\s+\w+="(?:\w:)?([^"]*)"\s*/>"""), r"\1"),
    (re.compile(r"\{@(?:link|linkplain|code|literal|value)\s+([^}]*)\}"), r"\1"),
    (re.compile(r":[\w:+.-]+:`~?([^`<]*?)\s*(?:<[^`]*>)?`"), r"\1"),
    (re.compile(r"`([^`<]+?)\s*<[^`]*>`_*"), r"\1"),
    (re.compile(r"\[([^\]]+)\]\([^)]*\)"), r"\1"),
    (re.compile(r"\[\[?([^\]|]+)(?:\|[^\]]*)?\]\]?_?"), r"\1"),
    (re.compile(r"</?[a-zA-Z][^<>]{0,200}>"), " "),
    (re.compile(r"\bhttps?://\S+"), " "),
    (re.compile(r"`+|\*\*|(?<!\w)[*_](?=\w)|(?<=\w)\*(?!\w)"), ""),
    (re.compile(r"::(?=\s|$)"), ":"),
)
_SIGNATURE = re.compile(r"^\s*[\w.]+\s*\([^()]*\)\s*(?:(?:->|=>|:|--?)\s*)?")
_SENTENCE_END = re.compile(
    r"(?<![ .][a-zA-Z])(?<!\be\.g)(?<!\bi\.e)(?<!\b(?:eg|ie|vs|cf))(?<!\betc)[.!?](?=\s)"
)
_BOILERPLATE = re.compile(
    r"""\b(?:
        todo|fixme|xxx|hack|copyright|licen[sc]ed?|spdx|all\ rights\ reserved|
        auto-?generated|do\ not\ edit|noqa|pylint|eslint|nolint|mypy|pragma|type:\ ?ignore|
        initiali[sz]es?\ self|see\ help|see\ (?:base|super|parent)\ ?class|see\ above|
        same\ as\ above|inheritdoc|non-?javadoc|docstring|overrid(?:e|es|den)|constructor|
        internal\ use|not\ implemented|deprecated|lorem\ ipsum
    )\b""",
    re.VERBOSE | re.IGNORECASE,
)
_A_WORD = re.compile(r"^[\"'(\[]*[^\W\d_]+(?:['\u2019-][^\W\d_]+)*[\"')\],.;:!?]*$")


class NoQuery(Exception):
    """A function gives no query; the message is the reason under which it is counted."""


def make_query(documentation: str, name: str = "") -> str:
    """Return the first sentence of a docstring or comment: one line, without markup.

    ``name`` is left out where the sentence begins with it.

    Raises:
        NoQuery: "no documentation", "boilerplate", "query too short", "query too long" or
            "query not of words".
    """
    text = _without_markup(_first_paragraph(documentation))
    if name:
        text = text.removeprefix(f"{name} ")
    if not text:
        raise NoQuery("no documentation")
    query = _first_sentence(text).strip(" .,:;-")
    words = query.split()
    if _BOILERPLATE.search(query):
        raise NoQuery("boilerplate")
    if len(words) < MIN_WORDS:
        raise NoQuery("query too short")
    if len(words) > MAX_WORDS:
        raise NoQuery("query too long")
    if sum(_A_WORD.match(word) is not None for word in words) * 3 < len(words) * 2:
        raise NoQuery("query not of words")
    return query


def _first_paragraph(documentation: str) -> str:
    summary = _SUMMARY.search(documentation)
    # A comment of C# has its marks inside the summary too.
    rows = (summary[1] if summary else documentation).splitlines()
    taken: list[str] = []
    for row in rows:
        text = _MARKS.sub("", row).strip()
        if taken and (not text or re.match(r"<(?:p|param|returns|remarks)\b", text)):
            break
        if _SECTION.match(text):
            break
        if text:
            taken.append(text)
    return " ".join(taken)


def _without_markup(text: str) -> str:
    for pattern, plain in _MARKUP:
        text = pattern.sub(plain, text)
    return " ".join(_SIGNATURE.sub("", text, count=1).split())


def _first_sentence(text: str) -> str:
    end = 0
    for match in _SENTENCE_END.finditer(text):
        end = match.end()
        if len(text[:end].split()) >= FEW_WORDS:
            return text[:end]
    return text
