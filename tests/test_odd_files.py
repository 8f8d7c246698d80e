"""Odd files: each is read right, or left out under a typed reason; none costs time or memory."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from workbench.corpus.entries import Skip, read_text
from workbench.corpus.folder import Folder

UTF16 = "x = 'é'\n"
CELL = json.dumps({"cells": [{"cell_type": "code", "source": "x = 1"}]})
OUTPUT = [{"data": {"image/png": "iVBORw0KGgo" * 460_000}}]
LARGE = json.dumps({"cells": [{"cell_type": "code", "source": "x = 1", "outputs": OUTPUT}]})
NESTED = json.dumps({"cells": [{"cell_type": "code", "source": CELL}]})

# Name, bytes, and the text that is read; or the reason why nothing is.
READ: dict[str, tuple[bytes, str]] = {
    "plain.py": (b"x = 1\n", "x = 1\n"),
    "mark.py": (b"\xef\xbb\xbfx = 1\n", "x = 1\n"),
    "latin_cookie.py": (b"# coding: latin-1\nx = '\xe9'\n", "# coding: latin-1\nx = 'é'\n"),
    "vim_cookie.py": (
        b"# vim: set fileencoding=cp1252 :\n#\x80\n",
        "# vim: set fileencoding=cp1252 :\n#€\n",
    ),
    "cookie_of_line_2.py": (
        b"#!x\n# -*- coding: koi8-r -*-\n#\xc1\n",
        "#!x\n# -*- coding: koi8-r -*-\n#\u0430\n",
    ),
    "cookie_of_line_3.py": (b"\n\n# coding: latin-1\n", "\n\n# coding: latin-1\n"),
    "cookie.js": (b"// coding: no-such\nx\n", "// coding: no-such\nx\n"),
    "dos.py": (b"a\r\nb\r\n", "a\r\nb\r\n"),
    "mac.py": (b"a = 1\rb = 2\r", "a = 1\rb = 2\r"),
    "form_feed.py": (b"a\n\x0c\nb\n", "a\n\x0c\nb\n"),
    "no_end.py": (b"x = 1", "x = 1"),
    "separators.py": ("x = '\u2028\u2029\x85'\n".encode(), "x = '\u2028\u2029\x85'\n"),
    "escape.py": (b"# \x1b[31m\x07\n", "# \x1b[31m\x07\n"),
    "bidi.py": ("# \u202e\u2066\n".encode(), "# \u202e\u2066\n"),
    "astral.py": ("# \U0001f600\U0010ffff\n".encode(), "# \U0001f600\U0010ffff\n"),
    "mark_within.py": ("x = 1 #\ufeff\n".encode(), "x = 1 #\ufeff\n"),
    "minified.js": (b"a=1;" * 200_000, "a=1;" * 200_000),
    "many_lines.py": (b"\n" * 999_999 + b"x", "\n" * 999_999 + "x"),
    "brackets.py": (b"(" * 500_000, "(" * 500_000),
    "exact.py": (b"x" * 1_000_000, "x" * 1_000_000),
    "no ending": (b"words\n", "words\n"),
    "UPPER.PY": (b"x = 1\n", "x = 1\n"),
    "-rf.py": (b"x = 1\n", "x = 1\n"),
    "$(touch x).py": (b"x = 1\n", "x = 1\n"),
    "é-日本.py": (b"x = 1\n", "x = 1\n"),
    "n" * 200 + ".py": (b"x = 1\n", "x = 1\n"),
    "plain.ipynb": (CELL.encode(), "# %%\nx = 1\n"),
    "mark.ipynb": (b"\xef\xbb\xbf" + CELL.encode(), "# %%\nx = 1\n"),
    "large_outputs.ipynb": (LARGE.encode(), "# %%\nx = 1\n"),
    "nested.ipynb": (NESTED.encode(), f"# %%\n{CELL}\n"),
}
LEFT_OUT: dict[str, tuple[bytes, str]] = {
    "utf16.py": (UTF16.encode("utf-16"), "binary"),
    "utf16_be.py": (UTF16.encode("utf-16-be"), "binary"),
    "utf16_le.txt": (UTF16.encode("utf-16-le"), "binary"),
    "utf16_without_nul.txt": ("\ufeff日本語".encode("utf-16-le"), "undecodable"),
    "utf32.py": (UTF16.encode("utf-32"), "binary"),
    "nul.py": (b"x = 1\n\0", "binary"),
    "only_nul.py": (b"\0" * 1_000_000, "binary"),
    "elf.py": (b"\x7fELF\x02\x01\x01\0\0", "binary"),
    "latin.py": (b"x = '\xe9'\n", "undecodable"),
    "latin.js": (b"x = '\xe9'\n", "undecodable"),
    "wrong_cookie.py": (b"# coding: ascii\nx = '\xc3\xa9'\n", "undecodable"),
    "unknown_cookie.py": (b"# coding: no-such\nx = 1\n", "undecodable"),
    "cookie_and_mark.py": (b"\xef\xbb\xbf# coding: latin-1\nx\n", "undecodable"),
    "zip_cookie.py": (b"# coding: zlib\nx = 1\n", "undecodable"),
    "slow_cookie.py": (b"# coding: punycode\nx-" + b"9a" * 400_000, "undecodable"),
    "cookie_of_a_path.py": (b"# coding: ../../x\nx\n", "undecodable"),
    "surrogate.py": (b"x = '\xed\xa0\x80'\n", "undecodable"),
    "surrogate_cookie.py": (b"# coding: utf-7\nx = '+2AA-'\n", "undecodable"),
    "overlong.py": (b"x = '\xc0\xaf'\n", "undecodable"),
    "cut_utf8.py": (b"x = '\xe2\x82", "undecodable"),
    "beyond_unicode.py": (b"\xf4\x90\x80\x80", "undecodable"),
    "empty.py": (b"", "empty"),
    "blank.py": (b" \t\n\x0c\r\n", "empty"),
    "only_mark.py": (b"\xef\xbb\xbf", "empty"),
    "unicode_blanks.txt": ("\u2003\u3000\u00a0\n".encode(), "empty"),
    "one_too_many.py": (b"x" * 1_000_001, "too large"),
    "empty.ipynb": (b"", "empty"),
    "deep.ipynb": (b"[" * 9_000_000, "notebook too complex"),
    "cut.ipynb": (LARGE.encode()[:-3], "malformed notebook"),
    "tables.ipynb": (b'{"cells": [' + b"{}," * 3_000_000 + b"{}]}", "notebook too complex"),
    ".hidden.py": (b"x = 1\n", "hidden"),
}


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    folder = tmp_path / "odd"
    folder.mkdir()
    return folder


def crawled(folder: Path) -> tuple[dict[str, str], dict[str, int]]:
    crawler = Folder(folder)
    texts = {document.path: document.text for document in crawler.crawl()}
    return texts, dict(crawler.skipped)


@pytest.mark.parametrize("name", READ)
def test_an_odd_file_is_read_right(odd: Path, name: str) -> None:
    data, text = READ[name]
    (odd / name).write_bytes(data)
    assert crawled(odd) == ({name: text}, {})


@pytest.mark.parametrize("name", LEFT_OUT)
def test_an_odd_file_is_left_out_with_a_typed_reason(odd: Path, name: str) -> None:
    data, reason = LEFT_OUT[name]
    (odd / name).write_bytes(data)
    start = time.monotonic()
    assert crawled(odd) == ({}, {reason: 1})
    assert time.monotonic() - start < 5


def test_every_odd_file_beside_the_others_is_read_or_counted(odd: Path) -> None:
    for name, (data, _) in {**READ, **LEFT_OUT}.items():
        (odd / name).write_bytes(data)
    texts, skipped = crawled(odd)
    assert texts == {name: text for name, (_, text) in READ.items()}
    assert len(texts) + sum(skipped.values()) == len(READ) + len(LEFT_OUT)
    assert len(READ) + len(LEFT_OUT) >= 30


def test_names_of_any_bytes_are_read_or_counted(odd: Path) -> None:
    names = [b"line\nend.py", b"tab\t.py", b"bell\x07.py", b"back\\slash.py", b"quote'\".py"]
    bad = [b"\xff.py", b"\xed\xa0\x80.py", b"a\xc3"] if sys.platform == "linux" else []
    for name in names + bad:
        Path(os.fsdecode(os.fsencode(odd) + b"/" + name)).write_bytes(b"x = 1\n")
    texts, skipped = crawled(odd)
    assert len(texts) + sum(skipped.values()) == len(names) + len(bad)
    assert skipped.get("undecodable name", 0) == len(bad)
    for path in texts:
        path.encode()


@pytest.mark.skipif(os.name != "posix", reason="makes special files")
def test_what_is_no_file_is_never_opened(odd: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(odd / "pipe.py")
    monkeypatch.chdir(odd)  # the path of a socket may have 107 bytes
    server = socket.socket(socket.AF_UNIX)
    server.bind("socket.py")
    (odd / "null.py").symlink_to(os.devnull)
    (odd / "endless.py").symlink_to("/dev/zero")
    (odd / "self.py").symlink_to("self.py")
    (odd / "nowhere.py").symlink_to("missing")
    (odd / "LICENSE").symlink_to("/dev/zero")
    (odd / "folder.py").mkdir()
    (odd / "COPYING").mkdir()
    try:
        assert crawled(odd) == ({}, {"not a file": 2, "link": 5})
    finally:
        server.close()


@pytest.mark.skipif(os.name != "posix", reason="makes a pipe")
def test_a_file_that_becomes_a_pipe_or_a_link_while_it_is_crawled_is_left_out(odd: Path) -> None:
    for name in ("a.py", "b.py", "c.py"):
        (odd / name).write_text("x = 1\n")
    crawler = Folder(odd)
    documents = crawler.crawl()
    next(documents)
    (odd / "b.py").unlink()
    os.mkfifo(odd / "b.py")
    # The entry of c.py was listed as a file; Folder asks it, and not the disk.
    check = crawler._check

    def swap(entry: os.DirEntry[str], path: str) -> None:
        check(entry, path)
        if path == "c.py":
            (odd / "c.py").unlink()
            (odd / "c.py").symlink_to("/dev/zero")

    crawler._check = swap  # type: ignore[method-assign]
    assert list(documents) == []
    assert crawler.skipped == {"not a file": 1, "unreadable": 1}


def test_a_file_that_is_gone_is_unreadable(odd: Path) -> None:
    for name in ("a.py", "b.py"):
        (odd / name).write_text("x = 1\n")
    crawler = Folder(odd)
    documents: Iterator[object] = crawler.crawl()
    next(documents)
    (odd / "b.py").unlink()
    assert list(documents) == []
    assert crawler.skipped == {"unreadable": 1}


@pytest.mark.parametrize("ending", ["py", "js", "ipynb", "txt"])
def test_noise_of_any_length_raises_nothing_but_skips(ending: str) -> None:
    import random

    noise = random.Random(529)
    for size in (0, 1, 2, 3, 7, 64, 1_000) * 30:
        data = noise.randbytes(size)
        for candidate in (data, data.replace(b"\0", b"\n"), bytes(b & 0x7F | 1 for b in data)):
            try:
                text = read_text(f"a.{ending}", candidate)
            except Skip as skip:
                assert str(skip)
            else:
                assert text.strip()
                text.encode()


@pytest.mark.skipif(sys.platform != "linux", reason="measures memory in kilobytes")
def test_odd_files_leave_memory_as_it_was(odd: Path) -> None:
    for name, (data, _) in {**READ, **LEFT_OUT}.items():
        (odd / name).write_bytes(data)
    (odd / "fifty_megabytes.py").write_bytes(b"x = 1\n" * 8_400_000)
    (odd / "fifty_megabytes.ipynb").write_bytes(b" " * 50_000_000)
    emoji = json.dumps(
        {"cells": [{"cell_type": "code", "source": "x", "o": "😀" * 2_400_000}]}, ensure_ascii=False
    )
    (odd / "wide.ipynb").write_bytes(emoji.encode())
    numbers = json.dumps({"cells": [{"cell_type": "code", "source": "x", "o": [{}] * 130_000}]})
    (odd / "tables_that_fit.ipynb").write_text(numbers.replace("{}", '{"a": {}}'))
    with (odd / "sparse.py").open("wb") as file:
        file.truncate(1 << 40)
    # The peak is not ru_maxrss, which a child inherits from its parent.
    code = (
        "import sys\nfrom pathlib import Path\nfrom workbench.corpus.folder import Folder\n"
        "status = Path('/proc/self/status')\n"
        "peak = lambda: int(status.read_text().split('VmHWM:')[1].split()[0]) // 1024\n"
        "crawler = Folder(sys.argv[1])\nbefore = peak()\n"
        "print(sum(1 for _ in crawler.crawl()), crawler.skipped.total(), peak() - before)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, odd], check=True, capture_output=True)
    read, skipped, megabytes = map(int, done.stdout.split())
    assert read == len(READ) + 2
    assert read + skipped == len(list(odd.iterdir()))
    assert 0 < megabytes < 200
