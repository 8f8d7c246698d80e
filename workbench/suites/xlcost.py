"""XLCoST: Python code with what it does, a line of a program or a whole one (Zhu et al. 2022).

The files hold one row of tokens a line, code in one file and words in another. The tokens come of
TransCoder's tokeniser: ``NEW_LINE``, ``INDENT`` and ``DEDENT`` stand for the shape of Python, and
within a string every blank is a ``▁``, while blanks between its tokens mean nothing. Code is
turned back into code here. What cannot be known again: comments and blank lines (XLCoST removed
them), where a long line was broken, and blanks between operators, which are set as PEP 8 asks.
The words stay as they were published, tokens with blanks between them, so that figures compare.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from workbench.errors import BadInput, UnknownName
from workbench.suites.problems import Suite
from workbench.suites.sources import data_file, sha256_of
from workbench.types import Example, Question, Reference, SourceFile

LEVELS: Mapping[str, tuple[str, str, str]] = {
    "snippet": (
        "xlcost-python/pair_data_tok_1_comment/Python-comment/{split}-Python-comment-tok",
        "xlcost-python/pair_data_tok_1_comment/Python-comment/{split}-Python-map.jsonl",
        "This is a part of a program. Answer with one short sentence of at most fifteen words:"
        " the comment that a programmer would write above it.",
    ),
    "program": (
        "xlcost-python/pair_data_tok_full_desc/Python-desc/{split}-Python-desc-tok",
        "xlcost-python/pair_data_tok_full_desc/Python-desc/{split}-Python-map.jsonl",
        "Answer with one short sentence of at most fifteen words: the title of the problem that"
        " this program solves.",
    ),
}
SPLITS = ("test", "val")

_INDENT = "    "
_OPENING = frozenset("([{")
_CLOSING = frozenset(")]}")
_TIGHT_BEFORE = _CLOSING | frozenset(",:;.")
_SIGNS = frozenset(("+", "-", "~", "*", "**"))
_NAME = re.compile(r"\w+")
_PREFIX = re.compile(r"(?i)[rbuf]|[rbf]{2}")
_STRING = re.compile(
    r"""(?is)(?:[rbuf]|[rbf]{2})?(?P<q>\"{3}|'{3}|["'])(?:\\.|(?!(?P=q))[^\\])*(?P=q)"""
)


def load(argument: str = "") -> Suite:
    """Read ``snippet`` (the default) or ``program``, each with ``/test`` (the default) or ``/val``.

    Raises:
        UnknownName: there is no such level or split.
        BadInput: WORKBENCH_DATA lacks the files, or they do not belong together.
    """
    level, _, split = argument.partition("/")
    level, split = level or "snippet", split or "test"
    if level not in LEVELS:
        raise UnknownName("level of XLCoST", level, LEVELS)
    if split not in SPLITS:
        raise UnknownName("split of XLCoST", split, SPLITS)
    stem, keys, wish = LEVELS[level]
    names = (f"{stem}.py", f"{stem}.txt", keys)
    paths = [data_file(name.format(split=split)) for name in names]
    return Suite(
        name=f"xlcost:{level}/{split}",
        task="summarize",
        examples=tuple(_examples(level, wish, *map(_lines, paths))),
        license="Apache-2.0",
        citation=(
            "Zhu et al., XLCoST: A Benchmark Dataset for Cross-lingual Code Intelligence, 2022"
        ),
        origin="the raw data of XLCoST (reddy-lab-code-research/XLCoST), in WORKBENCH_DATA",
        checksum=sha256_of(*(path.read_bytes() for path in paths)),
        metrics=("BLEU", "ROUGE-L", "chrF"),
        note=(
            "Code and comments come from GeeksforGeeks. The references are rows of tokens, as"
            " published; the code was put back into shape."
        ),
    )


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} cannot be read: {error}.", "Get the file once more.") from error


def _examples(
    level: str, wish: str, codes: list[str], texts: list[str], keys: list[str]
) -> Iterator[Example]:
    if not len(codes) == len(texts) == len(keys):
        raise BadInput(
            f"XLCoST's files do not belong together: {len(codes):,} rows of code, {len(texts):,}"
            f" of words, {len(keys):,} of ids.",
            "Get the files once more.",
        )
    for code, text, key in zip(codes, texts, keys, strict=True):
        question = Question(
            id=f"xlcost-{level}/{key}",
            task="summarize",
            text=wish,
            language="python",
            files=(SourceFile(f"{level}.py", detokenise(code), "python"),),
        )
        yield Example(question, Reference(texts=(text.strip(),)), {"level": level})


# --- from tokens to code ---------------------------------------------------------------


def detokenise(row: str) -> str:
    """Turn a row of XLCoST's Python tokens into code, with a line break at its end."""
    lines: list[str] = []
    depth = 0
    for part in row.split("NEW_LINE"):
        tokens = part.split()
        while tokens and tokens[0] in ("INDENT", "DEDENT"):
            depth += 1 if tokens.pop(0) == "INDENT" else -1
            depth = max(depth, 0)  # a snippet may begin deep inside its program
        text = _join(_strings_mended(token for token in tokens if token not in _DROPPED))
        if text:
            lines.append(_INDENT * depth + text)
        # Marks at a line's end take effect after it.
        depth = max(depth + tokens.count("INDENT") - tokens.count("DEDENT"), 0)
    return "\n".join(lines) + "\n"


# A backslash that continued a line stands in the middle of its row now.
_DROPPED = frozenset(("INDENT", "DEDENT", "\\"))


def _strings_mended(tokens: Iterable[str]) -> Iterator[str]:
    """Yield the tokens with each string in one piece: blanks between go, and ▁ is a blank."""
    inside = ""
    held = ""
    for token in tokens:
        if inside:
            inside += token
        elif token == "▁":
            continue
        elif held and token[0] in "\"'":
            inside, held = held + token, ""
        else:
            if held:
                yield held
                held = ""
            if _PREFIX.fullmatch(token):
                held = token
                continue
            if "'" not in token and '"' not in token:
                yield token
                continue
            inside = token
        if _closed(inside):
            yield inside.replace("▁", " ")
            inside = ""
    if held or inside:  # a string without an end: the row was cut there
        yield (held or inside).replace("▁", " ")


def _closed(text: str) -> bool:
    if re.fullmatch(r"""(?i)[rbuf]{0,2}("{2}|'{2})""", text):
        return True
    return _STRING.fullmatch(text) is not None


def _join(tokens: Iterable[str]) -> str:
    """Write tokens of one line with blanks where PEP 8 has them."""
    text = before = ""
    brackets = 0
    is_sign = False  # the token before stands for a sign, not for a sum
    for token in tokens:
        is_keyword = brackets > 0 and "=" in (before, token)
        glued = not before or is_sign or is_keyword or _is_tight(before, token)
        text += token if glued else f" {token}"
        brackets += (token in _OPENING) - (token in _CLOSING)
        is_sign = token in _SIGNS and not _ends_operand(before)
        before = token
    return text


def _is_tight(before: str, token: str) -> bool:
    if before in _OPENING or token in _TIGHT_BEFORE or before == ".":
        return True
    return token in ("(", "[") and _ends_operand(before)


def _ends_operand(token: str) -> bool:
    """Whether a value ends here, so that a bracket calls it and a minus subtracts from it."""
    if not token:
        return False
    if _NAME.fullmatch(token):
        return not keyword.iskeyword(token) or token in ("None", "True", "False")
    return token in _CLOSING or token[-1] in "\"'"
