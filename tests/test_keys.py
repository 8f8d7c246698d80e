"""Keys: where they come from, and that no text of ours holds one, however it is written."""

from __future__ import annotations

import base64
import html
import json
import logging
import os
import re
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from urllib.parse import quote, quote_plus, unquote

import keyring
import keyring.backend
import keyring.errors
import pytest
from fake_evaluation import Exact, suite
from fake_providers import Fault, Received, Reply
from hypothesis import assume, example, given
from hypothesis import strategies as st
from test_conformance import PROVIDERS, hosting

from workbench import api, keys
from workbench.backends.replay import Recorder
from workbench.errors import MissingKey, WorkbenchError
from workbench.evaluation.replaying import record_run
from workbench.keys import HIDDEN, KEYS, find_key, public, remember, require_key, scrub
from workbench.spec import solver
from workbench.types import Backend, Message, Prompt, SamplingParams

# Every character that some encoding writes in another way, as long as a header may carry it.
KEY = "sk-a/b+c=d&e'f\"g%41~h\\i<j>0123456789"

Write = Callable[[str], str]
WRITINGS: dict[str, Write] = {
    "raw": str,
    "url": quote,
    "url, slashes too": lambda text: quote(text, safe=""),
    "form": quote_plus,
    "url in small letters": lambda text: re.sub(
        "%..", lambda at: at[0].lower(), quote(text, safe="")
    ),
    "json": lambda text: json.dumps({"key": text}),
    "json as it is": lambda text: json.dumps([text], ensure_ascii=False),
    "json in json": lambda text: json.dumps(json.dumps(text)),
    "json of others": lambda text: json.dumps(text).replace("&", "\\u0026").replace("/", "\\/"),
    "repr": lambda text: repr({"key": text}),
    "repr of bytes": lambda text: repr(text.encode()),
    "repr between quotes": lambda text: repr(f'it\'s "{text}"'),
    "repr of json": lambda text: repr(json.dumps({"key": text}).encode()),
    "html": html.escape,
    "html of json": lambda text: html.escape(json.dumps(text)),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 for urls": lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
    "base64 in a url": lambda text: quote(base64.b64encode(text.encode()).decode(), safe=""),
    "base64 of json": lambda text: base64.b64encode(json.dumps([text]).encode()).decode(),
}


@cache
def leaks(text: str, secret: str = KEY) -> str | None:
    """Return the text in which eight characters of the secret in a row can be read, else None."""
    pieces = {secret[at : at + 8] for at in range(len(secret) - 7)}
    found = re.compile("|".join(map(re.escape, pieces)))
    return next((one for one in readings(text) if found.search(one)), None)


def readings(text: str) -> Iterator[str]:
    """Yield what can be made of a text by reading it in the ways of WRITINGS, some deep."""
    seen: set[str] = set()
    latest = {text}
    for _ in range(4):
        seen |= latest
        latest = {read(one) for one in latest for read in (unquote, html.unescape, _unescape)}
        latest -= seen
    yield from seen
    runs = {run for one in seen for run in re.findall(r"[A-Za-z0-9+/_-]{11,}", one)}
    for run in runs:
        for start in range(4):
            part = run[start : start + (len(run) - start) // 4 * 4]
            plain = part.replace("-", "+").replace("_", "/")
            yield base64.b64decode(plain).decode("utf-8", "replace")


def _unescape(text: str) -> str:
    """Read backslash escapes, as JSON and repr write them."""

    def read(at: re.Match[str]) -> str:
        if code := at["x"] or at["u"] or at["U"]:
            return chr(int(code, 16)) if int(code, 16) < 0x110000 else at[0]
        return {"n": "\n", "t": "\t", "r": "\r"}.get(at["c"], at["c"])

    return re.sub(
        r"\\(?:x(?P<x>[0-9a-f]{2})|u(?P<u>[0-9a-fA-F]{4})|U(?P<U>[0-9a-f]{8})|(?P<c>.))", read, text
    )


# --- where a key comes from -------------------------------------------------------------


class Ring(keyring.backend.KeyringBackend):
    """A keyring of the system, or one that fails as those of machines without a desktop do."""

    priority = 1

    def __init__(self, held: dict[str, str] | Exception) -> None:
        self.held = held

    def get_password(self, service: str, username: str) -> str | None:
        if isinstance(self.held, Exception):
            raise self.held
        assert service == "code-workbench"
        return self.held.get(username)

    def set_password(self, service: str, username: str, password: str) -> None:
        raise AssertionError("the workbench writes no key")

    delete_password = set_password  # type: ignore[assignment]


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Start without keys and end with what was remembered before."""
    for name in KEYS.values():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(keys, "_remembered", set())
    before = keyring.get_keyring()
    hold(Ring({}))
    yield
    keyring.set_keyring(before)
    keys._from_keyring.cache_clear()


def hold(ring: Ring) -> None:
    keyring.set_keyring(ring)
    keys._from_keyring.cache_clear()


def test_a_key_comes_from_the_environment_and_then_from_the_keyring(monkeypatch):
    hold(Ring({"OPENAI_API_KEY": "from-the-keyring"}))
    assert find_key("openai") == "from-the-keyring"
    monkeypatch.setenv("OPENAI_API_KEY", " from-the-environment\n")
    assert find_key("openai") == "from-the-environment"
    assert keys.where_keys_are()["OPENAI_API_KEY"] == "environment"
    monkeypatch.setenv("OPENAI_API_KEY", " ")
    assert keys.where_keys_are()["OPENAI_API_KEY"] == "keyring"
    assert keys.where_keys_are()["COHERE_API_KEY"] is None


@pytest.mark.parametrize(
    "held",
    [
        {},
        {"ANTHROPIC_API_KEY": ""},
        keyring.errors.NoKeyringError("none"),
        keyring.errors.KeyringLocked("locked"),
        OSError("no bus"),
        RuntimeError("no backend"),
    ],
)
def test_no_key_is_an_error_that_says_where_to_put_one(held):
    hold(Ring(held))

    with pytest.raises(MissingKey, match=r"Set ANTHROPIC_API_KEY .*keyring set") as caught:
        require_key("anthropic")

    assert "\n" not in str(caught.value)


def test_a_key_of_the_keyring_is_taken_out_of_texts_once_it_was_used():
    hold(Ring({"MISTRAL_API_KEY": KEY}))

    assert require_key("mistral") == KEY
    assert scrub(f"<{KEY}>") == f"<{HIDDEN}>"


# --- what is taken out ------------------------------------------------------------------


@pytest.mark.parametrize("writing", WRITINGS)
@pytest.mark.parametrize("before", ["", "a", "ab", "user:", "Bearer "])
def test_no_writing_of_a_key_can_be_read(monkeypatch, writing, before):
    monkeypatch.setenv("SOME_API_KEY", KEY)
    written = WRITINGS[writing](f"{before}{KEY}:after")
    assert leaks(written), "or this test cannot fail"

    assert leaks(scrub(f"the server said {written}, twice: {written}")) is None


SECRETS = st.text(
    st.characters(min_codepoint=33, max_codepoint=0x24FF, exclude_categories=["C", "Z"]),
    min_size=8,
    max_size=60,
)
NEIGHBOURS = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF), max_size=12)


@given(SECRETS, st.sampled_from(list(WRITINGS)), NEIGHBOURS, NEIGHBOURS)
@example("0" * 8, "base64", "", "")
@example("********", "raw", "*", "*")
@example("a'b\"c\\d/e", "repr between quotes", "'", '"')
def test_no_key_can_be_read_whatever_stands_around_it(secret, writing, before, after):
    assume(leaks(f"{before} {after} {HIDDEN}", secret) is None and secret != "*" * len(secret))
    os.environ["PROPERTY_TEST_TOKEN"] = secret
    try:
        assert leaks(scrub(WRITINGS[writing](f"{before}{secret}{after}")), secret) is None
    finally:
        del os.environ["PROPERTY_TEST_TOKEN"]


@given(st.text(max_size=200))
def test_a_text_without_keys_stays_as_it_is(text):
    assume("://" not in text)
    assert public(text) == text


@pytest.mark.parametrize("writing", ["raw", "url", "json", "repr", "base64"])
def test_within_a_basic_header_and_a_url_a_key_is_found(monkeypatch, writing):
    monkeypatch.setenv("OPENAI_API_KEY", "short-key-1")
    written = WRITINGS[writing]("someone:short-key-1")

    assert leaks(public(f"Authorization: Basic {written}"), "short-key-1") is None


def test_of_two_keys_the_longer_goes_first(monkeypatch):
    monkeypatch.setenv("A_TOKEN", "12345678")
    monkeypatch.setenv("B_TOKEN", "12345678-and-more")

    assert scrub("12345678-and-more 12345678") == f"{HIDDEN} {HIDDEN}"


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("HF_TOKEN", True),
        ("AZURE_OPENAI_KEY", True),
        ("AWS_SECRET_ACCESS_KEY", True),
        ("my_api_key", True),
        ("PGPASSWORD", True),
        ("MONKEY", False),
        ("KEYBOARD", False),
        ("PWD", False),
    ],
)
def test_what_a_variable_is_called_says_whether_it_is_a_secret(monkeypatch, name, secret):
    monkeypatch.setenv(name, "value-of-it")

    assert (scrub("value-of-it") == HIDDEN) is secret


def test_what_is_too_short_to_be_a_key_is_no_reason_to_tear_a_text_apart(monkeypatch):
    monkeypatch.setenv("SOME_TOKEN", "test")
    remember("abc")
    remember(None)

    assert scrub("test abc") == "test abc"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://me:secret@host:1/v1?a=b@c", "http://host:1/v1?a=b@c"),
        ("http://me:p@ss@host/", "http://host/"),
        ("see <https://me@host> or ftp://x:y@z.", "see <https://host> or ftp://z."),
        ("http://host/a@b", "http://host/a@b"),
        ("http://host?to=a@b", "http://host?to=a@b"),
        ("mail me@host", "mail me@host"),
    ],
)
def test_a_url_shows_neither_name_nor_password(url, shown):
    assert public(url) == shown


def test_a_log_record_with_a_traceback_is_written_without_keys(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    try:
        raise ValueError(f"refused {KEY} and http://me:{KEY[:4]}@host/")
    except ValueError:
        record = logging.LogRecord("x", 40, "f", 1, "said %r", ({"k": KEY},), sys.exc_info())

    line = keys.ScrubbedFormatter("%(name)s: %(message)s").format(record)

    assert leaks(line) is None and "ValueError: refused ***" in line and "://host/" in line


def test_once_a_key_was_used_no_library_logs_it(monkeypatch, caplog):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert find_key("openai") == KEY
    log = logging.getLogger("some.library")

    log.debug("sent %r, got %s", {"Authorization": f"Bearer {KEY}"}, [KEY.encode()])
    log.debug("%d is no number", KEY)  # of which a handler would complain, and print both
    try:
        raise ValueError(KEY)
    except ValueError:
        log.exception("failed")
    log.debug("and %s", "nothing else")

    assert leaks(caplog.text) is None
    assert "failed" in caplog.text and "ValueError: ***" in caplog.text
    assert caplog.messages[-1] == "and nothing else"


# --- from a server that repeats its key wherever it can ----------------------------------

SECRET = KEY  # as it is sent
REPEATED = " ".join(
    [
        *(write(KEY) for write in WRITINGS.values()),
        base64.b64encode(f"user:{KEY}".encode()).decode(),
        f"http://me:{quote(KEY, safe='')}@host/?key={quote_plus(KEY)}",
    ]
)
HEADERS = {
    "X-Request-Id": KEY,
    "WWW-Authenticate": f'Bearer realm="{KEY}"',
    "Set-Cookie": f"key={quote(KEY)}",
    "Retry-After": "0",
}
PAGE = f"<html><title>{html.escape(KEY)}</title><body>{html.escape(REPEATED)}</body></html>"
STREAM = {"Content-Type": "text/event-stream"}
CUT = tuple(f"The key is {KEY}.\n"[at : at + 5] for at in range(0, len(KEY) + 13, 5))

PLACES: dict[str, Reply | Fault] = {
    **{f"{status}": Fault(status, REPEATED, HEADERS) for status in (400, 401, 403, 404, 429, 500)},
    "a page": Fault(502, headers=HEADERS, body=PAGE.encode()),
    "a page for an answer": Fault(200, headers={"Content-Type": "text/html"}, body=PAGE.encode()),
    "garbage": Fault(200, headers=STREAM, body=f"data: {{{REPEATED}\n\n".encode()),
    "lines of garbage": Fault(200, headers=STREAM, body=f"{REPEATED}\n".encode() * 3),
    "elsewhere": Fault(
        307, headers={**HEADERS, "Location": f"/{quote(KEY)}?key={quote_plus(KEY)}"}
    ),
    "the answer": Reply(f"Your key is {REPEATED} as you know."),
    "the answer in pieces": Reply(pieces=CUT, text="".join(CUT)),
    "the thoughts": Reply("No.", reasoning=f"The key is {KEY}!"),
    "nowhere": Reply("All is well."),
}


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_server_that_repeats_the_key_everywhere_gives_it_nowhere_away(
    monkeypatch, caplog, tmp_path, provider
):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("WORKBENCH_ATTEMPTS", "1")
    monkeypatch.setattr("test_conformance.KEY", KEY)
    found: list[str] = []
    with hosting(provider, monkeypatch) as (_, server, backend):
        for place, reply in PLACES.items():
            caplog.clear()
            server.script = lambda received, reply=reply: reply
            told = [*everything_told(backend, tmp_path / f"{place}.jsonl", backend.name)]
            told += [("log", record.name, line(record)) for record in caplog.records]
            told += [("file", str(file), text_of(file)) for file in files_of(tmp_path)]
            found += [f"{place}: {what} {where}" for what, where, text in told if leaks(text)]
        assert len(server.received) >= len(PLACES)
        if provider != "ollama":  # which needs no key
            assert all(holds(KEY, one) for one in server.received)
    assert sorted(set(found)) == []
    written = {file.name for file in files_of(tmp_path)}
    assert {"runs.sqlite", "answers.sqlite", "the answer.jsonl", "nowhere.jsonl"} <= written


def everything_told(backend: Backend, recording: Path, name: str) -> Iterator[tuple[str, str, str]]:
    """Ask in every way, and yield what is told to whom asks: what, where, and the text."""
    prompt = Prompt((Message("user", "Tell me."),), "test")
    try:
        list(Recorder(backend, recording).stream(prompt, SamplingParams(max_tokens=200)))
    except WorkbenchError as error:
        yield "error", type(error).__name__, "".join(traceback.format_exception(error))
        yield "error", "its words", f"{error!r} {error.cause} {error.remedy} {vars(error)}"
    comparison = api.ask("Tell me.", backends=[name], max_tokens=200)
    yield "export", "json", comparison.to_json()
    yield "export", "markdown", comparison.to_markdown()
    yield "notebook", "html", comparison._repr_html_()
    yield "notebook", "markdown", comparison._repr_markdown_()
    if comparison.run is not None:
        yield "notebook", "opened again", api.open_run(comparison.run)._repr_html_()


@pytest.mark.parametrize("place", ["401", "the answer in pieces", "the thoughts"])
def test_neither_a_batch_nor_an_evaluation_gives_a_key_away(monkeypatch, caplog, tmp_path, place):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("WORKBENCH_ATTEMPTS", "1")
    monkeypatch.setattr("test_conformance.KEY", KEY)
    anyway = {"confirm": lambda _: True}  # its price is unknown
    with hosting("openai-compatible", monkeypatch) as (_, server, backend):
        server.script = lambda received: PLACES[place]
        batch = api.ask_many(["Tell me."], backends=[backend.name], max_tokens=200, **anyway)
        told = api.evaluate(suite(2), solvers=[solver(backend.name)], metrics=[Exact()], **anyway)
    told.notebook(tmp_path / "run.ipynb")
    if not told.errors:
        record_run(told.run, tmp_path / "run.jsonl")
    texts = {
        "batch as json": batch.to_json(),
        "batch as csv": batch.df.to_csv(),
        "batch as latex": batch.df.to_latex(),
        "batch in a notebook": batch._repr_html_(),
        "evaluation as json": told.to_json(),
        "evaluation as csv": told.df.to_csv(),
        "evaluation in a notebook": f"{told!r} {told._repr_html_()}",
        "page": without_libraries(told.report()),
        "opened again": api.open_evaluation(told.run).to_json(),
        **{record.name: line(record) for record in caplog.records if leaks(line(record))},
        **{str(file): text_of(file) for file in files_of(tmp_path)},
    }

    assert server.received and all(holds(KEY, one) for one in server.received)
    assert {"runs.sqlite", "run.ipynb"} <= {file.name for file in files_of(tmp_path)}
    # Without the digits at its end, which may stand in a page's own code, too.
    distinct = KEY.removesuffix("0123456789")
    assert leaks(PAGE, distinct)
    assert "<h1" in texts["page"] or "<h2" in texts["page"]
    assert [where for where, text in texts.items() if leaks(text, distinct)] == []


def without_libraries(page: str) -> str:
    """Return a page without the megabytes of scripts that are not ours, which take long to read."""

    def kept(script: re.Match[str]) -> str:
        return script[0] if len(script[0]) < 500_000 else ""

    return re.sub("<script.*?</script>", kept, page, flags=re.DOTALL)


def line(record: logging.LogRecord) -> str:
    return logging.Formatter("%(message)s").format(record)


def text_of(file: Path) -> str:
    return file.read_bytes().decode("utf-8", "replace")


def files_of(folder: Path) -> list[Path]:
    return [one for one in sorted(folder.rglob("*")) if one.is_file()]


@pytest.mark.parametrize("place", ["401", "a page", "the answer in pieces"])
def test_the_command_line_with_debug_prints_no_key(monkeypatch, tmp_path, place):
    monkeypatch.setattr("test_conformance.KEY", KEY)
    with hosting("openai-compatible", monkeypatch) as (_, server, backend):
        server.script = lambda received: PLACES[place]
        tool = str(Path(sys.executable).with_name("workbench"))
        command = [tool, "--debug", "ask", "Tell me.", "--json"]
        done = subprocess.run(
            [*command, "--backend", backend.name], capture_output=True, text=True, timeout=240
        )

    assert server.received and holds(KEY, server.received[0])
    assert "Tell me." in done.stdout and "workbench" in done.stderr
    assert leaks(done.stdout) is None and leaks(done.stderr) is None


@pytest.mark.parametrize("debug", [[], ["--debug"]])
def test_a_key_that_was_typed_in_the_wrong_place_is_not_printed(monkeypatch, debug):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    tool = str(Path(sys.executable).with_name("workbench"))
    command = [tool, *debug, "ask", "Tell me.", "--backend", KEY]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)

    assert f"No backend is called '{HIDDEN}'" in done.stderr
    assert ("Traceback" in done.stderr) is bool(debug)
    assert leaks(done.stdout) is None and leaks(done.stderr) is None


def holds(key: str, received: Received) -> bool:
    """Say whether a request came with the key, else nothing could be given away."""
    return any(key in value for value in received.headers.values())
