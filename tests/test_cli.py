"""The command line: what it prints, what it returns, and one line for whatever is wrong."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fake_openai import fake_server

from workbench.api import ask, open_run, runs
from workbench.backends.replay import Recorder
from workbench.types import Completion, Prompt, SamplingParams, Token

WORKBENCH = Path(sys.executable).with_name("workbench")


def call(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(WORKBENCH), *arguments],
        capture_output=True,
        text=True,
        input=stdin,
        timeout=120,
        check=False,
    )


class Parrot:
    """Answers with a fence that holds the last line of the prompt."""

    name = "parrot"

    def stream(self, prompt: Prompt, params: SamplingParams):  # type: ignore[no-untyped-def]
        text = f"```python\nprint({prompt.messages[-1].content.splitlines()[-1]!r})\n```"
        yield Token(text)
        yield Completion(text, 3, 4, 0.2, 0.1, "stop", self.name)


@pytest.fixture
def replay(home: Path, tmp_path: Path) -> str:
    """Record an answer to "say hello" and return the backend that replays it."""
    file = tmp_path / "recording.jsonl"
    ask("say hello", backends=[Recorder(Parrot(), file)])
    return f"replay/{file}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    source = tmp_path / "code"
    source.mkdir()
    (source / "greet.py").write_text(
        'def hello(name):\n    """Greet."""\n    return f"hi {name}"\n'
    )
    (source / "sums.py").write_text("def add(a, b):\n    return a + b\n")
    return source


def test_help_names_every_command() -> None:
    done = call("--help")
    assert done.returncode == 0
    for command in ("doctor", "models", "crawl", "index", "search", "ask", "ui"):
        assert re.search(rf"\b{command}\b", done.stdout), command


def test_ask_shows_a_column_for_each_backend(replay: str) -> None:
    done = call("ask", "say hello", "--backend", replay, "--backend", replay)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("print(") == 2


def test_ask_json_parses_and_is_stored(replay: str) -> None:
    done = call("ask", "say hello", "--backend", replay, "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["columns"][0]["answer"].startswith("print(")
    assert told["columns"][0]["output_tokens"] == 4
    assert json.loads(open_run(told["run"]).to_json()) == told


def test_a_backend_that_fails_leaves_the_others_and_exits_with_1(replay: str) -> None:
    dead = "openai-compatible/model@http://127.0.0.1:9/v1"
    done = call("ask", "say hello", "--backend", replay, "--backend", dead, "--json")
    assert done.returncode == 1
    first, second = json.loads(done.stdout)["columns"]
    assert first["error"] is None
    assert first["answer"]
    assert "127.0.0.1:9" in second["error"]
    assert second["answer"] is None


def test_ctrl_c_stops_the_backend_and_keeps_what_came() -> None:
    with fake_server() as server:
        backend = f"openai-compatible/endless@{server.url}/v1"
        asking = subprocess.Popen(
            [str(WORKBENCH), "ask", "say hello", "--backend", backend, "--max-tokens", "99999"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # A suite that runs in the background was told to ignore it, and hands that on.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        try:
            for _ in range(600):
                if server.requests:
                    break
                time.sleep(0.05)
            time.sleep(1)  # some of the answer
            asking.send_signal(signal.SIGINT)
            _, told = asking.communicate(timeout=20)
            assert (asking.returncode, told) == (130, "Stopped.\n")
            assert server.left.wait(2), "the server still writes to somebody"
        finally:
            asking.kill()
    column = open_run(runs()[0].id).columns[0]
    assert (column.status, column.error) == ("stopped", "Stopped.")
    assert column.text


def test_a_folder_is_crawled_indexed_searched_and_asked(
    folder: Path, replay: str, models_home: Path
) -> None:
    assert "2" in call("crawl", "mine", f"folder:{folder}").stdout
    early = call("ask", "greet somebody", "-b", "retrieval", "--corpus", "mine")
    assert (early.returncode, early.stdout) == (2, "")
    assert early.stderr.count("\n") == 1
    assert "workbench index mine" in early.stderr
    built = call("index", "mine")
    assert built.returncode == 0, built.stderr
    hits = json.loads(call("search", "mine", "greet somebody", "--k", "1", "--json").stdout)
    assert hits[0]["chunk"]["path"] == "greet.py"
    assert "greet.py:1-3" in call("search", "mine", "hello", "--retriever", "bm25").stdout
    done = call("ask", "greet somebody", "-b", "retrieval", "--corpus", "mine", "--json")
    column = json.loads(done.stdout)["columns"][0]
    assert "def hello(name)" in column["answer"]
    assert column["sources"][0] == "greet.py:1-3"


WRONG = {
    "empty prompt": (("ask", "", "-b", "retrieval"), 2, "empty"),
    "blank prompt": (("ask", "  \n", "-b", "retrieval"), 2, "empty"),
    "5 MB paste": (("ask", "-", "-b", "retrieval"), 2, "5,000,000 characters"),
    "unknown provider": (("ask", "x", "-b", "lama-cpp/qwen2.5-coder-0.5b"), 2, "Did you mean"),
    "unknown model": (
        ("ask", "x", "-b", "llama-cpp/qwen2.5-coder-05b"),
        2,
        "Did you mean qwen2.5-coder-0.5b",
    ),
    "missing model file": (("ask", "x", "-b", "llama-cpp/./none.gguf"), 1, "none.gguf"),
    "missing corpus": (
        ("ask", "x", "-b", "retrieval", "--corpus", "nope"),
        2,
        "workbench crawl nope",
    ),
    "missing index": (("search", "nope", "x"), 2, "workbench crawl nope"),
    "unknown task": (("ask", "x", "--task", "sumarize"), 2, "Did you mean summarize"),
    "unknown language": (
        ("ask", "x", "--task", "translate", "--from", "python", "--to", "jva"),
        2,
        "Did you mean java",
    ),
    "no target": (("ask", "x = 1", "--task", "translate", "--from", "python"), 2, "--to"),
    "unknown option": (("ask", "x", "--bakend", "y"), 2, "--backend"),
    "unknown command": (("crwl", "x"), 2, "crawl"),
    "missing argument": (("search", "x"), 2, "'query'. See: workbench search --help"),
    "wrong number": (("search", "x", "y", "--k", "0"), 2, "greater than or equal to 1"),
    "unknown source": (("crawl", "mine", "foldr:/x"), 2, "folder"),
    "missing folder": (("crawl", "mine", "folder:/does/not/exist"), 2, "/does/not/exist"),
    "missing file": (("ask", "x", "--file", "/does/not/exist.py"), 2, "/does/not/exist.py"),
    "unknown weights": (("models", "pull", "qwen"), 2, "qwen2.5-coder-0.5b"),
    "retriever without corpus": (
        ("ask", "x", "-b", "retrieval", "--with-and-without"),
        2,
        "--corpus",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_bad_input_is_one_line_with_the_mend(case: str) -> None:
    arguments, code, said = WRONG[case]
    done = call(*arguments, stdin="x" * 5_000_000)
    assert (done.returncode, done.stdout) == (code, "")
    line = done.stderr.strip()
    assert "\n" not in line
    assert line.startswith("Error: ")
    assert said in line


def test_a_binary_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_bytes(b"\x7fELF\x00\x01\xff")
    done = call("ask", "x", "--file", str(file), "-b", "retrieval")
    assert done.returncode == 2
    assert "not a UTF-8 text file" in done.stderr


def test_debug_shows_the_traceback_and_may_stand_anywhere() -> None:
    assert "Traceback" in call("ask", "", "--debug").stderr
    assert "Traceback" not in call("ask", "").stderr


def test_a_taken_port_is_said_in_one_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = call("ui", "--port", str(port))
    assert done.returncode in (1, 2)
    assert done.stderr.strip().count("\n") == 0
    assert str(port) in done.stderr
    assert "--port" in done.stderr


def test_doctor_json_has_every_group() -> None:
    told = json.loads(call("doctor", "--json").stdout)
    assert {"machine", "packages", "toolchains", "keys", "backends", "embedders", "caches"} <= set(
        told
    )
    assert told["packages"]["code-workbench"]


def test_models_list_says_what_is_missing_and_how_to_get_it() -> None:
    rows = json.loads(call("models", "--json").stdout)
    row = next(row for row in rows if row["name"] == "llama-cpp/qwen2.5-coder-0.5b")
    assert not row["here"]
    assert row["needs"] == "workbench models pull qwen2.5-coder-0.5b"
