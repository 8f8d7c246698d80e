"""Filters: what is left out has a reason, what is kept is whole, and no secret gets through."""

from __future__ import annotations

import base64
import hashlib
import json
import random
import re
import time
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import pytest
from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
from detect_secrets.core.scan import scan_line
from detect_secrets.settings import transient_settings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workbench.corpus.entries import Skip, make_document
from workbench.corpus.filters import FILTERS, Pipeline
from workbench.corpus.filters.duplicates import NGRAM, Duplicates
from workbench.corpus.filters.generated import Generated
from workbench.corpus.filters.language import ByContent
from workbench.corpus.filters.licence import Licence
from workbench.corpus.filters.rule import Filter
from workbench.corpus.filters.secrets import NEEDLES, PIECE, Secrets, find_tokens
from workbench.corpus.filters.size import Size
from workbench.corpus.filters.tests import Tests
from workbench.corpus.filters.tokens import ngrams, tokenize
from workbench.corpus.filters.vendored import Vendored
from workbench.corpus.stdlib import StandardLibrary
from workbench.errors import BadInput, UnknownName
from workbench.types import Document

CODE = '''\
"""Read and write settings."""

import json
from pathlib import Path


def read(path: Path) -> dict[str, str]:
    """Return the settings in a file."""
    table = json.loads(path.read_text())
    if not isinstance(table, dict):
        raise ValueError(f"{path} holds no table")
    return {str(name): str(value) for name, value in table.items()}


def write(path: Path, table: dict[str, str]) -> None:
    """Write settings to a file, sorted by name."""
    path.write_text(json.dumps(table, indent=4, sort_keys=True))
'''


def doc(text: str = CODE, path: str = "pkg/a.py", license: str | None = None) -> Document:
    return make_document(path, text, source="folder:x", revision=None, license=license)


def reason(step: Filter | Pipeline, document: Document) -> str | None:
    """Why a document is left out, or None."""
    try:
        step(document) if isinstance(step, Pipeline) else step.check(document)
    except Skip as skip:
        return str(skip)
    return None


# --- the pipeline ----------------------------------------------------------------------


def test_ordinary_code_passes_as_it_is() -> None:
    pipeline = Pipeline()
    assert pipeline(doc()) == doc()
    assert pipeline.noted == {}


@pytest.mark.parametrize("name", [entry.name for entry in FILTERS])
def test_each_filter_can_be_left_out_and_changes_the_fingerprint(name: str) -> None:
    assert Pipeline(without=[name]).fingerprint != Pipeline().fingerprint
    rest = [entry.name for entry in FILTERS if entry.name != name]
    assert Pipeline(without=rest)(doc()) == doc()


def test_the_fingerprint_is_that_of_the_settings() -> None:
    assert Pipeline().fingerprint == Pipeline(size={"longest": 1000}).fingerprint
    assert Pipeline().fingerprint != Pipeline(size={"longest": 1001}).fingerprint
    assert (
        Pipeline(licence={"allow": ["mit"]}).fingerprint
        == Pipeline(licence={"allow": ["MIT"]}).fingerprint
    )


@pytest.mark.parametrize("name", [entry.name for entry in FILTERS])
def test_settings_have_defaults_that_a_manifest_can_write(name: str) -> None:
    step = FILTERS.load(name)()
    chosen = {
        field.name: value
        for field in fields(step)
        if field.init and (value := getattr(step, field.name)) is not None
    }
    assert json.loads(json.dumps(chosen)) == chosen
    assert Pipeline(**{name: chosen}).fingerprint == Pipeline().fingerprint


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"without": ["tets"]}, "Did you mean tests"),
        ({"dublicates": {}}, "Did you mean duplicates"),
        ({"size": {"longst": 5}}, "Did you mean longest"),
        ({"duplicates": {"_seen": 1}}, "setting of the filter duplicates"),
    ],
)
def test_a_wrong_name_gets_the_nearest(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(UnknownName, match=message):
        Pipeline(**wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": 1000},
        {"size": {"longest": "long"}},
        {"size": {"longest": True}},
        {"size": {"longest": 0}},
        {"size": {"longest": 1.5}},
        {"duplicates": {"similarity": None}},
        {"licence": {"allow": "MIT"}},
        {"licence": {"allow": ["not a licence"]}},
        {"licence": {"allow": []}},
        {"licence": {"allow": 7}},
    ],
)
def test_a_wrong_setting_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match="filter"):
        Pipeline(**wrong)


def test_two_pipelines_share_no_memory() -> None:
    first, second = Pipeline(), Pipeline()
    first(doc())
    assert reason(first, doc(path="b.py")) == "duplicate"
    assert reason(second, doc(path="b.py")) is None


# --- by path, size, licence ------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        *((path, "vendored") for path in ("a/_vendor/x.py", "third_party/y.c", "js/jquery.js")),
        *((path, "vendored") for path in ("versioneer.py", "a/react-18.2.0.js", "ext/jquery-3.js")),
        *((path, None) for path in ("a/vendor.py", "a/jquery_tools.py", "externals.py", "a/b.py")),
    ],
)
def test_vendored_code_is_known_by_its_path(path: str, expected: str | None) -> None:
    assert reason(Vendored(), doc(path=path)) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        *((path, "test") for path in ("tests/x.py", "a/test/b.py", "test_a.py", "a/b_test.py")),
        *((path, "test") for path in ("conftest.py", "src/AppTest.java", "a_test.go", "a.spec.js")),
        *((path, None) for path in ("latest.py", "contest.py", "testing/a.py", "a/Contest.java")),
        *((path, None) for path in ("attest.go", "unittest/case.py", "protest.js", "Testament.cs")),
    ],
)
def test_tests_are_known_by_their_path(path: str, expected: str | None) -> None:
    assert reason(Tests(), doc(path=path)) == expected


@pytest.mark.parametrize(
    ("text", "path", "expected"),
    [
        (CODE, "a.py", None),
        ("x = 1\n" * 5 + "y = '" + "ab " * 400 + "'\n", "a.py", "minified"),
        ("var a=function(b){return b*2};" * 30, "a.js", "minified"),
        (("let a=function(b){return b};" * 5 + "\n") * 9, "a.js", "minified"),
        ("A paragraph of prose on one line. " * 60, "README.md", None),
        ("A paragraph of prose on one line. " * 60, "README", None),
        ("+-*/\\|/(){}[]<>;:,.\n" * 40, "a.txt", "not text"),
        ("变量 = 你好 + 世界\n" * 20, "a.py", None),
        ("[[0,1],[1,0]]\n" * 5, "a.txt", None),
    ],
)
def test_size_tells_code_from_what_is_minified(text: str, path: str, expected: str | None) -> None:
    assert reason(Size(), doc(text, path)) == expected


def test_a_header_overrules_the_licence_of_the_source() -> None:
    step = Licence()
    own = doc("# SPDX-License-Identifier: BSD-3-Clause\n" + CODE, license="MIT")
    assert step.check(own).license == "BSD-3-Clause"
    assert step.noted == {"licence read from header": 1}
    assert step.check(doc(license="MIT")).license == "MIT"


@pytest.mark.parametrize(
    ("allow", "licence", "expected"),
    [
        (None, None, None),
        (None, "GPL-3.0-only", None),
        ("permissive", "MIT", None),
        ("permissive", "GPL-3.0-only", "licence"),
        ("permissive", None, "licence"),
        (["mit", "GPL-3.0-only"], "GPL-3.0-only", None),
        (["MIT"], "GPL-3.0-only", "licence"),
        (["MIT"], None, "licence"),
    ],
)
def test_only_what_is_allowed_is_kept(
    allow: Any, licence: str | None, expected: str | None
) -> None:
    assert reason(Licence(allow=allow), doc(license=licence)) == expected


# --- generated -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "head"),
    [
        ("a_pb2.py", ""),
        ("a_pb2_grpc.py", ""),
        ("a.pb.go", ""),
        ("a.min.js", ""),
        ("package-lock.json", ""),
        ("poetry.lock", ""),
        ("Form1.Designer.cs", ""),
        ("a.go", "// Code generated by stringer; DO NOT EDIT.\n"),
        (
            "a.py",
            "# -*- coding: utf-8 -*-\n# Generated by the protocol buffer compiler.  DO NOT EDIT!\n",
        ),
        ("a.py", '"""@generated by tool"""\n'),
        ("a.cs", "// <auto-generated />\n"),
        ("a.cpp", "/* Generated by Cython 3.0.0 */\n"),
        (
            "a.py",
            '""" Python Character Mapping Codec cp1 generated from \'CP1.TXT\' with gencodec.py.',
        ),
    ],
)
def test_generated_code_is_known_by_name_or_head(path: str, head: str) -> None:
    assert reason(Generated(), doc(head + CODE, path)) == "generated"


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("a.py", "# The report is generated on demand.\n" + CODE),
        ("a.py", "# Please do not edit without asking.\n" + CODE),
        ("a.py", 'MARK = "Code generated by us. DO NOT EDIT."\n' + CODE),
        ("a.py", CODE + "\n" * 50 + "# @generated\n"),
        ("lock.py", CODE),
        ("pb2.py", CODE),
    ],
)
def test_talk_of_generating_is_not_generated(path: str, text: str) -> None:
    assert reason(Generated(), doc(text, path)) is None


@pytest.mark.parametrize(
    ("row", "path"),
    [
        ('    "name{n}": "value {n}",  # the {n}th of them\n', "a.py"),
        ("  {{ {n}, 0x{n:04x}, -{n}.5e3, 'x' }},\n", "a.cpp"),
        ("    '\\x41'   #  0x41 -> LETTER {n}\n", "a.py"),
    ],
)
def test_a_table_of_data_is_no_code(row: str, path: str) -> None:
    table = "TABLE = {\n" + "".join(row.format(n=n) for n in range(300)) + "}\n"
    assert reason(Generated(), doc(table, path)) == "data table"
    assert reason(Generated(), doc("\n".join([CODE] * 20) + table[:2000], path)) is None


# --- language --------------------------------------------------------------------------

SAMPLES = {
    "python": CODE,
    "java": "package a.b;\n\nimport java.util.List;\n\npublic class Shop {\n"
    + "".join(
        f"    private final int price{n};\n    public int getPrice{n}() {{ return price{n}; }}\n"
        for n in range(9)
    )
    + "}\n",
    "php": "<?php\nnamespace App;\n\nclass Shop {\n"
    + "".join(
        f"    public function price{n}($item) {{\n        return $this->a[{n}][$item];\n    }}\n"
        for n in range(9)
    )
    + "}\n",
    "go": 'package main\n\nimport "fmt"\n\n'
    + "".join(
        f"func price{n}(item string) (int, error) {{\n\tfmt.Println(item)\n\treturn {n}, nil\n}}\n"
        for n in range(9)
    ),
}
ENDINGS = {"python": "py", "java": "java", "php": "php", "go": "go"}


@pytest.mark.parametrize("content", SAMPLES)
@pytest.mark.parametrize("ending", SAMPLES)
def test_a_wrong_ending_is_corrected_and_a_right_one_is_not_touched(
    content: str, ending: str
) -> None:
    step = ByContent()
    document = doc(SAMPLES[content], f"a.{ENDINGS[ending]}")
    assert step.check(document).language == content
    assert step.noted == ({} if content == ending else {"language corrected": 1})


@pytest.mark.parametrize("content", SAMPLES)
def test_a_missing_language_is_filled_in(content: str) -> None:
    step = ByContent()
    assert step.check(doc(SAMPLES[content], "bin/tool")).language == content
    assert step.check(doc(SAMPLES[content], "a.xyz1")).language == content
    assert step.noted == {"language filled in": 2}


@pytest.mark.parametrize("path", ["README.md", "notes.txt", "data.json", "Makefile", "a.html"])
def test_a_name_that_says_another_kind_is_believed(path: str) -> None:
    assert ByContent().check(doc(CODE, path)).language is None


def test_a_short_text_is_not_asked_about(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("asked")

    monkeypatch.setattr("workbench.corpus.filters.language._identify", fail)
    assert ByContent().check(doc("x = 1\n", "tool")).language is None
    assert ByContent().check(doc()).language == "python"


# --- secrets ---------------------------------------------------------------------------

DETECTORS = {
    plugin.__name__: plugin() for plugin in get_mapping_from_secret_type_to_class().values()
}
PLUGINS = [{"name": name} for name in NEEDLES]
rng = random.Random(5)
ALNUM = "abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ0123456789"


def some(count: int, letters: str = ALNUM) -> str:
    return "".join(rng.choice(letters) for _ in range(count))


def jwt() -> str:
    parts = ({"alg": "HS256"}, {"sub": "1234567890", "name": "A"})
    coded = [
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().strip("=") for part in parts
    ]
    return ".".join([*coded, some(43)])


LOWER = "abcdefghijklmnopqrstuvwxyz0123456789"
TOKENS: dict[str, tuple[str, str]] = {  # by detector: a line with {}, and the secret in it
    "ArtifactoryDetector": ('key = "{}"', "AKC" + some(20)),
    "AWSKeyDetector": ("id = '{}'", "AKIA" + some(16, ALNUM.upper())),
    "AzureStorageKeyDetector": ('"{};EndpointSuffix=x"', "AccountKey=" + some(86) + "=="),
    "BasicAuthDetector": ("url = 'https://me:{}@host/x'", "tr0ub4dor"),
    "CloudantDetector": ("cloudant_password = '{}'", some(64, "0123456789abcdef")),
    "DiscordBotTokenDetector": ("run('{}')", f"M{some(23)}.{some(6)}.{some(27)}"),
    "GitHubTokenDetector": ("token = '{}'", "ghp_" + some(36)),
    "GitLabTokenDetector": ("token = '{}'", "glpat-" + some(20)),
    "IbmCloudIamDetector": ("ibm_api_key = '{}'", some(44)),
    "IbmCosHmacDetector": ("secret_access_key = '{}'", some(48, "0123456789abcdef")),
    "JwtTokenDetector": ("bearer = '{}'", jwt()),
    "MailchimpDetector": ("mc = '{}'", some(32, LOWER) + "-us12"),
    "NpmDetector": ("//host/:_authToken={}", "npm_" + some(36)),
    "OpenAIDetector": ("k = '{}'", f"sk-{some(20)}T3BlbkFJ{some(20)}"),
    "PypiTokenDetector": ("p = '{}'", "pypi-AgEIcHlwaS5vcmc" + some(80)),
    "SendGridDetector": ("s = '{}'", f"SG.{some(22)}.{some(43)}"),
    "SlackDetector": ("s = '{}'", f"xoxb-123456789012-{some(24, LOWER)}"),
    "SoftlayerDetector": ("softlayer_api_key = '{}'", some(64, LOWER)),
    "SquareOAuthDetector": ("s = '{}'", "sq0csp-" + some(43)),
    "StripeDetector": ("s = '{}'", "sk_live_" + some(24)),
    "TelegramBotTokenDetector": ("bot('{}')", f"123456789:{some(35)}"),
    "TwilioKeyDetector": ("s = '{}'", "SK" + some(32, LOWER)),
}


def redact(text: str, path: str = "a.py") -> tuple[str, int]:
    step = Secrets()
    document = step.check(doc(text, path))
    assert document.sha256 == hashlib.sha256(document.text.encode()).hexdigest()
    assert document.text.count("\n") == text.count("\n")
    return document.text, step.noted["secret redacted"]


def test_every_detector_is_tried() -> None:
    assert TOKENS.keys() == NEEDLES.keys()
    left_out = {"IPPublicDetector", "Base64HighEntropyString", "HexHighEntropyString"}
    by_hand = {"KeywordDetector", "PrivateKeyDetector"}
    assert DETECTORS.keys() == NEEDLES.keys() | left_out | by_hand


@pytest.mark.parametrize("name", TOKENS)
@pytest.mark.parametrize("place", ["alone", "in a file", "in a long line", "beside another"])
def test_no_token_gets_through(name: str, place: str) -> None:
    line, secret = TOKENS[name]
    line = line.format(secret)
    text = {
        "alone": line,
        "in a file": f"{CODE}\n{line}\n{CODE}",
        "in a long line": f"{'x = 1; ' * PIECE} {line} ; {'y = 2; ' * PIECE}",
        "beside another": f"{line} # {line}\n{line}\n",
    }[place]
    redacted, count = redact(text)
    assert secret not in redacted
    assert 1 <= redacted.count("<redacted: ") <= count
    assert f"<redacted: {DETECTORS[name].secret_type}>" in redacted
    assert redact(redacted) == (redacted, 0)


def draw(name: str) -> st.SearchStrategy[str]:
    """Lines that a detector's own patterns match, anywhere in a line."""
    patterns = [st.from_regex(pattern) for pattern in DETECTORS[name].denylist]
    return st.one_of(patterns).filter(lambda line: len(line) < PIECE and "\r" not in line)


@pytest.mark.parametrize("name", TOKENS)
def test_passing_a_file_by_never_passes_a_secret_by(name: str) -> None:
    """The quick search finds each line in which the detector, asked line by line, finds one."""

    @settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
    @given(draw(name), st.booleans())
    def holds(text: str, shout: bool) -> None:
        text = text.upper() if shout else text
        full = {
            found
            for line in text.split("\n")
            for pattern in DETECTORS[name].denylist
            for found in [match[0] for match in pattern.finditer(line)]
        }
        # With nothing taken for a stand-in, what is found must lie in what is marked.
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("workbench.corpus.filters.secrets._is_placeholder", lambda *_: False)
            patch.setattr("workbench.corpus.filters.secrets._is_jwt", lambda _: True)
            marked = [secret for secret in find_tokens(f"\n{text}\n") if secret.end > secret.start]
        assert bool(full) == any(secret.kind == DETECTORS[name].secret_type for secret in marked), (
            text
        )

    holds()


def test_the_quick_search_finds_what_a_full_scan_finds() -> None:
    lines = [line.format(secret) for line, secret in TOKENS.values()]
    library = [document.text for document in StandardLibrary().crawl()][::40]
    text = "\n".join([*lines, *library]).split("\n")
    chosen = random.Random(1).sample(text, 1500) + lines
    config = {"plugins_used": PLUGINS, "filters_used": []}
    with transient_settings(config):
        full = {line for line in chosen if len(line) < PIECE and list(scan_line(line))}
    quick = {line for line in chosen if list(find_tokens(line))}
    assert quick == full >= set(lines)


KEY_BODY = "\n".join(some(64) for _ in range(12)) + "\n" + some(30) + "=="
PEM = f"-----BEGIN RSA PRIVATE KEY-----\n{KEY_BODY}\n-----END RSA PRIVATE KEY-----"


@pytest.mark.parametrize(
    "text",
    [
        f'KEY = """{PEM}"""\n',
        "KEY = (\n" + "".join(f'    "{line}\\n"\n' for line in PEM.split("\n")) + ")\n",
        f"KEY = {PEM!r}\n",
        PEM.replace("RSA ", "OPENSSH "),
    ],
)
def test_a_private_key_is_blotted_out_line_by_line(text: str) -> None:
    redacted, count = redact(text)
    assert count >= 12
    assert not any(line.strip("=") in redacted for line in KEY_BODY.split("\n"))
    assert "BEGIN" in redacted
    assert "END" in redacted


def test_code_that_looks_for_private_keys_is_left_alone() -> None:
    code = (
        'BEGIN = "-----BEGIN RSA PRIVATE KEY-----"\n'
        + CODE
        + 'END = "-----END RSA PRIVATE KEY-----"\n'
    )
    assert redact(code) == (code, 0)


@pytest.mark.parametrize(
    ("line", "path"),
    [
        ('password = "x7Gh2kLp9Qw"', "a.py"),
        ("db_pass: 'x7Gh2kLp9Qw'", "a.js"),
        ('if (secret == "x7Gh2kLp9Qw") {', "A.java"),
        ("password: x7Gh2kLp9Qw", "a.yml"),
        ('API_KEY = "x7Gh2kLp9Qw"', "a.py"),
        ('a(password="hunter", api_key="x7Gh2kLp9Qw")', "a.py"),
    ],
)
def test_a_password_is_known_by_the_name_before_it(line: str, path: str) -> None:
    redacted, count = redact(line, path)
    assert count == 1
    assert "x7Gh2kLp9Qw" not in redacted
    assert "<redacted: Secret Keyword>" in redacted


@pytest.mark.parametrize(
    "line",
    [
        'password = "your-password"',
        'api_key = "OPENAI_API_KEY"',
        'api_key="sk-..."',
        'password = getpass("Password for 12 users: ")',
        '"image_pull_secrets": "List[V1LocalObjectReference]",',
        'secret_type = "GitLab Token"',
        'url = "http://user:password@host/"',
        'url = "http://user:{password}@host/"',
        'url = f"https://{user}:$TOKEN@host/"',
        'version = "8.8.8.8"',
        'digest = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"',
        "password = password1234 + salt5678",
    ],
)
def test_what_only_sounds_secret_is_left_alone(line: str) -> None:
    assert redact(line) == (line, 0)


def test_no_secret_leaves_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise AssertionError("a secret was sent")

    monkeypatch.setattr("requests.sessions.Session.request", fail)
    text = "\n".join(line.format(secret) for line, secret in TOKENS.values())
    assert redact(text)[1] >= len(TOKENS)


@pytest.mark.parametrize(
    "piece", ["eyJ", "sk-", "`", "password", "password`", "://a:", "\n", "key "]
)
def test_a_hostile_line_is_searched_in_seconds(piece: str) -> None:
    start = time.perf_counter()
    redact(piece * (100_000 // len(piece)))
    assert time.perf_counter() - start < 10


# --- duplicates ------------------------------------------------------------------------


def library(seed: int, functions: int = 12) -> list[str]:
    words = random.Random(seed)
    every = (f"n{words.randrange(10**6)}" for _ in range(functions * 4))
    return [
        f"def {a}({b}, {c}):\n    {d} = {b}.{a}({c})\n    return [{d} for {b} in {c} if {b} > {n}]"
        for n, (a, b, c, d) in enumerate(zip(*[every] * 4, strict=True))
    ]


VARIANTS: dict[str, tuple[Callable[[list[str]], str], str | None]] = {
    "the same": ("\n".join, "duplicate"),
    "other white space": (lambda parts: "\r\n\r\n".join(parts).replace("\n", "  \n"), "duplicate"),
    "another header": (lambda parts: "# Copyright 2020 X\n" + "\n".join(parts), "near duplicate"),
    "indented": (lambda parts: "\n".join(parts).replace("    ", "\t"), "near duplicate"),
    "one name changed": (
        lambda parts: "\n".join([*parts[:-1], parts[-1].replace("return", "yield")]),
        "near duplicate",
    ),
    "half of it": (lambda parts: "\n".join(parts[:6]), None),
    "half changed": (lambda parts: "\n".join([*parts[:6], *library(2)[:6]]), None),
    "something else": (lambda _: "\n".join(library(3)), None),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_duplicates_are_told_by_their_tokens(variant: str) -> None:
    change, expected = VARIANTS[variant]
    step = Duplicates()
    assert reason(step, doc("\n".join(library(1)))) is None
    assert reason(step, doc(change(library(1)), "b.py")) == expected


def test_similarity_is_that_of_the_sets_of_ngrams() -> None:
    """At the threshold: the true Jaccard similarity decides, on both sides of it."""
    parts = library(1, 80)
    for kept in range(60, 80):
        a, b = "\n".join(parts), "\n".join([*parts[:kept], *library(9, 80)[kept:]])
        one, two = set(ngrams(a, NGRAM).tolist()), set(ngrams(b, NGRAM).tolist())
        jaccard = len(one & two) / len(one | two)
        if abs(jaccard - 0.85) > 0.03:
            step = Duplicates()
            step.check(doc(a))
            expected = "near duplicate" if jaccard > 0.85 else None
            assert reason(step, doc(b)) == expected, jaccard


def test_short_files_are_duplicates_only_word_by_word() -> None:
    step = Duplicates()
    assert reason(step, doc('"""Tools."""\nfrom a import b\n')) is None
    assert reason(step, doc('"""Tools."""\nfrom a import c\n')) is None
    assert reason(step, doc('"""Tools."""\n\nfrom a import b  \n')) == "duplicate"


def test_memory_is_bounded() -> None:
    step = Duplicates(remembered=3)
    for seed in range(6):
        assert reason(step, doc("\n".join(library(seed)))) is None
    assert len(step._sketches) == 3
    header = "# Copyright\n"
    assert reason(step, doc(header + "\n".join(library(1)))) == "near duplicate"
    assert reason(step, doc(header + "\n".join(library(5)))) is None
    assert reason(step, doc("\n".join(library(5)))) == "duplicate"


@given(st.text(alphabet="ab_1 .(é\n\t", max_size=60))
def test_tokens_are_words_and_signs(text: str) -> None:
    """The vectorised tokens are those of a plain pattern over bytes."""
    data = text.encode()
    plain = list(re.finditer(rb"[\w\x80-\xff]+|[^\w\s\x80-\xff]", data))
    tokens = tokenize(text)
    assert tokens.starts.tolist() == [match.start() for match in plain]
    assert tokens.first.tolist() == [match[0][0] for match in plain]
    known: dict[int, bytes] = {}
    for value, match in zip(tokens.hashes.tolist(), plain, strict=True):
        assert known.setdefault(value, match[0]) == match[0]
    assert len(known) == len({match[0] for match in plain})


def test_ngrams_are_the_same_in_every_process() -> None:
    assert ngrams("def f(x): return x", 5)[0] == 5577439604098136150


# --- all together ----------------------------------------------------------------------


# A table of 2,231 entities, and functions over tables that mkstringprep.py wrote.
TABLES = {"html/entities.py": "data table", "stringprep.py": "generated"}


def test_of_the_standard_library_nothing_is_lost_by_accident() -> None:
    """On a fifth of it; all of it is looked through in tests/stress."""
    pipeline = Pipeline()
    lost = {
        (document.path, why)
        for number, document in enumerate(StandardLibrary().crawl())
        if (number % 5 == 0 or document.path in TABLES) and (why := reason(pipeline, document))
    }
    assert lost >= set(TABLES.items())
    assert {why for path, why in lost if path not in TABLES} <= {"duplicate", "near duplicate"}
    assert len(lost) < 5
    assert pipeline.noted["secret redacted"] == 0
    assert pipeline.noted["language corrected"] == 0


@settings(max_examples=25, deadline=None)
@given(st.text(max_size=400), st.sampled_from(["a.py", "a.js", "a", "a.md", "a.yml"]))
def test_no_text_breaks_a_filter(text: str, path: str) -> None:
    text = text.encode("utf-8", "replace").decode()
    document = doc(text, path)
    pipeline = Pipeline()
    if reason(pipeline, document) is None:
        kept = Pipeline()(document)
        assert replace(kept, text="", sha256="", language=None, license=None) == replace(
            document, text="", sha256="", language=None, license=None
        )
