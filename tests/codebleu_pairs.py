"""Pairs of programs to score: real ones, beside what a model may make of them."""

from __future__ import annotations

import gzip
import json
import random
import re
from collections.abc import Callable
from pathlib import Path

from workbench.metrics.codebleu.keywords import REFERENCE as KEYWORDS

HUMANEVAL_X = {
    "python": "python",
    "java": "java",
    "cpp": "cpp",
    "javascript": "js",
    "go": "go",
}
CODETRANSOCEAN = {"cpp": "C++", "csharp": "C#", "php": "PHP", "java": "Java", "python": "Python"}
HASH, SLASHES = "# what {} does\n", "// what '{}' does\n"


def programs(data: Path, language: str) -> list[str]:
    """Return the programs of the public data sets in one language."""
    found = []
    if language in HUMANEVAL_X:
        path = data / "humaneval-x" / f"humaneval_{HUMANEVAL_X[language]}.jsonl.gz"
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            rows = [json.loads(line) for line in lines]
        found += [row["prompt"] + row["canonical_solution"] for row in rows[::2]]
        found += [row["declaration"] + row["canonical_solution"] for row in rows[1::2]]
    key = CODETRANSOCEAN.get(language)
    with (data / "codetransocean" / "data_intro.json").open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    found += [row[key] for row in rows if key in row and len(row[key]) < 6000]
    return found


def pairs(texts: list[str], language: str, number: int, seed: int = 0) -> list[tuple[str, str]]:
    """Return ``number`` pairs of candidate and reference, each way of change as often."""
    chance = random.Random(f"{language}{seed}")
    made = []
    for place in range(number):
        text = texts[place % len(texts)]
        ways = CHANGES[place % len(CHANGES)]
        candidate = text
        for change in ways:
            candidate = change(candidate, language, chance)
        if not ways:
            candidate = chance.choice(texts)
        made.append((candidate, text))
    return made


def same(text: str, language: str, chance: random.Random) -> str:
    return text


def empty(text: str, language: str, chance: random.Random) -> str:
    return chance.choice(["", " ", "\n\n", "x", ";", "}", '"'])


def rename(text: str, language: str, chance: random.Random) -> str:
    names = sorted(set(re.findall(r"[A-Za-z_]\w*", text)) - KEYWORDS[language])
    chosen = chance.sample(names, len(names) // 2)
    fresh = {name: f"{chance.choice('pqrstuvw')}{number}" for number, name in enumerate(chosen)}
    return re.sub(r"[A-Za-z_]\w*", lambda match: fresh.get(match[0], match[0]), text)


def drop_lines(text: str, language: str, chance: random.Random) -> str:
    lines = text.split("\n")
    for _ in range(min(chance.randint(1, 3), len(lines) - 1)):
        del lines[chance.randrange(len(lines))]
    return "\n".join(lines)


def reorder(text: str, language: str, chance: random.Random) -> str:
    lines = text.split("\n")
    here, there = (chance.randrange(len(lines)) for _ in range(2))
    lines[here], lines[there] = lines[there], lines[here]
    return "\n".join(lines)


def truncate(text: str, language: str, chance: random.Random) -> str:
    return text[: chance.randrange(len(text) + 1)]


def garble(text: str, language: str, chance: random.Random) -> str:
    place = chance.randrange(len(text) + 1)
    return text[:place] + chance.choice("(){}[];:,.=+\"'`#@$ \n") + text[place:]


def comment(text: str, language: str, chance: random.Random) -> str:
    lines = text.split("\n")
    mark = HASH if language == "python" or chance.random() < 0.1 else SLASHES
    lines.insert(chance.randrange(len(lines) + 1), mark.format("it").rstrip())
    lines[-1] += "" if language == "python" else " /* a\n b */"
    return "\n".join(lines)


def accents(text: str, language: str, chance: random.Random) -> str:
    place = chance.randrange(len(text) + 1)
    return text[:place] + chance.choice(["é", "ü = 1", " 漢字", '"→ //x"', "😀 "]) + text[place:]


def change_numbers(text: str, language: str, chance: random.Random) -> str:
    return re.sub(r"\b\d\b", lambda match: str(chance.randrange(10)), text)


def windows(text: str, language: str, chance: random.Random) -> str:
    return text.replace("\n", "\r\n").replace("    ", "\t")


Change = Callable[[str, str, random.Random], str]
OTHER: tuple[Change, ...] = ()
CHANGES: tuple[tuple[Change, ...], ...] = (
    (same,),
    OTHER,
    (rename,),
    (drop_lines,),
    (reorder,),
    (truncate,),
    (garble,),
    (comment,),
    (accents,),
    (change_numbers,),
    (rename, drop_lines, comment),
    (rename, reorder),
    (garble, garble, garble),
    OTHER,
    (windows,),
    (accents, rename),
    (truncate, garble),
    (empty,),
    (drop_lines, reorder, change_numbers),
)
