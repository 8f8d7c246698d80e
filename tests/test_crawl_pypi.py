"""Crawling source distributions: which one is found, how it comes here, and what is in it."""

from __future__ import annotations

import gzip
import hashlib
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from fake_index import FakeIndex
from hostile_archives import END, file, zipped

from workbench.cancel import cancelled_by
from workbench.corpus import CRAWLERS, parse_source
from workbench.corpus.caps import Caps
from workbench.corpus.pypi import SourceDistribution, declared_licence
from workbench.errors import BadInput, Cancelled, WorkbenchError, WrongHash
from workbench.settings import settings
from workbench.types import Document
from workbench.weights import download

pytest_plugins = ["tiny_fixtures"]

MIT = """MIT License

Copyright (c) 2026 Somebody

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and
associated documentation files (the "Software"), to deal in the Software without restriction,
including without limitation the rights to use, copy, modify, merge, publish, distribute,
sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or
substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT
NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND
NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM,
DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""
METADATA = b"Metadata-Version: 2.4\nName: Good.Name\nVersion: 1.0\nLicense-Expression: isc\n"


def sdist(name: str = "good_name-1.0", **members: str | bytes) -> bytes:
    """Write a source distribution; in the names of ``members`` two underscores are a slash."""
    return gzip.compress(
        b"".join(
            file(f"{name}/{path}", data if isinstance(data, bytes) else data.encode())
            for path, data in ({"src/mod.py": "x = 1\n"} | members).items()
        )
        + END
    )


def publish(fake: FakeIndex, file: str = "good_name-1.0.tar.gz", **kwargs: object) -> str:
    return fake.add_sdist(file, sdist(file.removesuffix(".tar.gz")), **kwargs)


def read(argument: str, caps: Caps | None = None) -> dict[str, Document]:
    crawler = SourceDistribution(argument, caps=caps or Caps())
    return {document.path: document for document in crawler.crawl()}


def kept() -> list[str]:
    """List what lies among the downloads, but for locks."""
    folder = settings().home / "downloads"
    paths = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock")
    return sorted(path.relative_to(folder).as_posix() for path in paths)


def is_one_line(error: WorkbenchError) -> bool:
    return "\n" not in str(error) and bool(error.remedy)


# --- the name --------------------------------------------------------------------------


def test_the_source_is_the_normalised_name_and_the_revision_the_version(fake: FakeIndex) -> None:
    publish(fake)
    crawler = parse_source("pypi:Good.Name==1.0").open()
    assert (crawler.source, crawler.revision) == ("pypi:good-name", "1.0")
    [document] = crawler.crawl()
    assert document.path == "src/mod.py" and document.text == "x = 1\n"
    assert (document.source, document.revision) == ("pypi:good-name", "1.0")
    assert document.language == "python"
    assert document.sha256 == hashlib.sha256(b"x = 1\n").hexdigest()
    assert CRAWLERS.load("pypi") is SourceDistribution


@pytest.mark.parametrize(
    "argument",
    [
        "", "==1.0", "a b", "-a", "a-", "a/b", "../a", "a;b", "a[extra]", "a>=1", "a~=1", "a==",
        "a @ file:///x", "--index-url=http://evil.invalid", "http://evil.invalid/a", "a==x",
        "a==1.*", "a===1", "a==1.0==2", "a==1.0; python_version>'3'", "a==../../b", "a\0",
        "n\xe4me", "a==\uff11.0", "a" * 300, "a==1." + "0" * 300,
    ],
)  # fmt: skip
def test_a_malformed_name_is_refused_before_anybody_is_asked(
    argument: str, fake: FakeIndex, home: Path
) -> None:
    with pytest.raises(BadInput, match="names no package") as caught:
        SourceDistribution(argument)
    assert is_one_line(caught.value) and len(str(caught.value)) < 500
    assert fake.requests == [] and not home.exists()


# --- which version ---------------------------------------------------------------------


def test_without_a_version_it_is_the_newest_that_is_neither_yanked_nor_a_pre_release(
    fake: FakeIndex,
) -> None:
    for version in ("1.9", "1.10", "2.0rc1", "1.2"):
        publish(fake, f"good_name-{version}.tar.gz")
    publish(fake, "good_name-1.11.tar.gz", yanked="broken")
    assert SourceDistribution("good-name").revision == "1.10"
    assert {d.revision for d in read("good-name==1.11").values()} == {"1.11"}
    assert {d.revision for d in read("good-name==2.0rc1").values()} == {"2.0rc1"}


def test_a_pre_release_is_taken_where_there_is_nothing_else(fake: FakeIndex) -> None:
    publish(fake, "good_name-2.0rc1.tar.gz")
    assert SourceDistribution("good-name").revision == "2.0rc1"


def test_an_old_spelling_of_the_file_is_found(fake: FakeIndex) -> None:
    publish(fake, "Good.Name-1.0.tar.gz")
    fake.add_sdist("good-name-2.0.zip", zipped())
    assert list(read("good-name==1.0")) == ["src/mod.py"]
    assert list(read("good-name")) == ["good.py", "last.py"]


def test_a_pin_is_that_very_version(fake: FakeIndex) -> None:
    publish(fake, "good_name-1.0.0.tar.gz")
    publish(fake, "good_name-1.0+local.tar.gz")
    assert list(read("good-name==1.0")) == ["src/mod.py"]
    assert [path for path in fake.downloads() if "local" in path] == []


def test_what_is_not_there_is_one_line(fake: FakeIndex) -> None:
    fake.add_wheel("only-wheel", "1.0", {"a.py": b""})
    publish(fake)
    for argument, words in (
        ("only-wheel", "no source distribution of only-wheel"),
        ("nobody", "nobody is not on the package index"),
    ):
        with pytest.raises(BadInput, match=words) as caught:
            SourceDistribution(argument)
        assert is_one_line(caught.value)
    with pytest.raises(BadInput, match=r"good-name==9 is not on the package index"):
        read("good-name==9")
    assert fake.downloads() == []


def test_an_index_out_of_reach_is_one_line(
    fake: FakeIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    for call in (lambda: SourceDistribution("good-name"), lambda: read("good-name==1.0")):
        with pytest.raises(WorkbenchError, match="the package index cannot be reached") as caught:
            call()
        assert is_one_line(caught.value) and not isinstance(caught.value, BadInput)


# --- how it comes here -----------------------------------------------------------------


def test_a_pinned_version_that_is_here_needs_no_network(
    fake: FakeIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(fake)
    first = read("good-name==1.0")
    fake.requests.clear()
    monkeypatch.setenv("WORKBENCH_OFFLINE", "1")
    assert read("good-name==1.0") == first
    assert fake.requests == []


def test_offline_says_so_in_one_line(fake: FakeIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(fake)
    monkeypatch.setenv("WORKBENCH_OFFLINE", "1")
    for call in (lambda: SourceDistribution("good-name"), lambda: read("good-name==1.0")):
        with pytest.raises(WorkbenchError, match="WORKBENCH_OFFLINE is set") as caught:
            call()
        assert is_one_line(caught.value)
    assert fake.requests == []


def test_making_a_pinned_crawler_asks_nobody(fake: FakeIndex) -> None:
    assert SourceDistribution("good-name==1.0").revision == "1.0"
    assert fake.requests == []


def test_an_interrupted_download_goes_on_where_it_was(fake: FakeIndex) -> None:
    path = publish(fake)
    half = len(fake.files[path]) // 2
    fake.cuts[path] = [half] + [0] * download.TRIES
    with pytest.raises(WorkbenchError, match="not to be had"):
        read("good-name==1.0")
    assert kept() == ["pypi/good-name-1.0/good-name-1.0.tar.gz.part"]
    fake.requests.clear()
    assert list(read("good-name==1.0")) == ["src/mod.py"]
    assert [headers.get("Range") for headers in fake.asked(path)] == [f"bytes={half}-"]
    assert kept() == [f"pypi/good-name-1.0/good-name-1.0.tar.gz{end}" for end in ("", ".sha256")]


def test_a_killed_download_goes_on_where_it_was(fake: FakeIndex) -> None:
    path = fake.add_sdist("good_name-1.0.tar.gz", sdist(**{"noise.bin": os.urandom(200_000)}))
    fake.hold_after[path] = 120_000
    child = subprocess.Popen(
        [sys.executable, "-c", "from workbench.weights import index; index._from_pip = dict\n"
         "from workbench.corpus.pypi import SourceDistribution\n"
         "list(SourceDistribution('good-name==1.0').crawl())"],
    )  # fmt: skip
    part = settings().home / "downloads/pypi/good-name-1.0/good-name-1.0.tar.gz.part"
    deadline = time.monotonic() + 30
    while not (part.exists() and part.stat().st_size == 120_000):
        assert time.monotonic() < deadline and child.poll() is None
        time.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    child.wait()
    fake.release.set()
    fake.requests.clear()
    assert list(read("good-name==1.0")) == ["src/mod.py"]
    assert fake.asked(path)[0]["Range"] == "bytes=120000-"


def test_a_file_that_is_not_the_promised_one_is_refused_and_removed(fake: FakeIndex) -> None:
    path = publish(fake)
    fake.hashes[path] = "0" * 64
    with pytest.raises(WrongHash, match="not the one that the package index promised") as caught:
        read("good-name==1.0")
    assert is_one_line(caught.value) and kept() == []


def test_an_archive_that_was_spoiled_on_disk_is_downloaded_again(fake: FakeIndex) -> None:
    path = publish(fake)
    read("good-name==1.0")
    archive = settings().home / "downloads" / kept()[0]
    archive.write_bytes(archive.read_bytes()[:-9] + b"rubbish!!")
    assert list(read("good-name==1.0")) == ["src/mod.py"]
    assert len(fake.asked(path)) == 2


def test_a_file_beyond_the_cap_is_left_and_forgotten(fake: FakeIndex) -> None:
    fake.add_sdist("good_name-1.0.tar.gz", os.urandom(300_000))
    with pytest.raises(BadInput, match="larger than the cap of 100,000 bytes") as caught:
        read("good-name==1.0", Caps(bytes=100_000))
    assert is_one_line(caught.value) and kept() == []


def test_a_download_that_nobody_waits_for_ends(fake: FakeIndex) -> None:
    publish(fake)
    stop = threading.Event()
    stop.set()
    with cancelled_by(stop), pytest.raises(Cancelled, match="was stopped"):
        read("good-name==1.0")
    assert list(read("good-name==1.0")) == ["src/mod.py"]


def test_an_index_on_this_disk_is_verified_too(
    fake: FakeIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "simple" / "good-name" / "index.html"
    page.parent.mkdir(parents=True)
    archive = tmp_path / "good_name-1.0.tar.gz"
    archive.write_bytes(made := sdist())  # gzip writes down the second
    monkeypatch.setenv("PIP_INDEX_URL", (tmp_path / "simple").as_uri())
    for digest, outcome in (("0" * 64, WrongHash), (hashlib.sha256(made).hexdigest(), None)):
        page.write_text(f'<a href="{archive.as_uri()}#sha256={digest}">{archive.name}</a>')
        if outcome:
            with pytest.raises(outcome):
                read("good-name==1.0")
            assert kept() == []
        else:
            assert list(read("good-name==1.0")) == ["src/mod.py"]
    assert archive.read_bytes() == made and fake.requests == []


def test_two_at_once_download_once(fake: FakeIndex) -> None:
    path = publish(fake)
    fake.hold_after[path] = 50
    found: list[list[str]] = []
    threads = [
        threading.Thread(target=lambda: found.append(list(read("good-name==1.0"))))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 10
    while not fake.asked(path) and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.2)
    fake.release.set()
    for thread in threads:
        thread.join(20)
    assert found == [["src/mod.py"]] * 2
    assert len(fake.asked(path)) == 1


# --- passwords -------------------------------------------------------------------------


def test_the_password_of_an_index_reaches_no_message_log_or_record(
    fake: FakeIndex, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, home: Path
) -> None:
    caplog.set_level(logging.DEBUG)
    with_password = fake.url.replace("://", "://user:s3cret@")
    monkeypatch.setenv("PIP_INDEX_URL", f"{with_password}/simple")
    path = publish(fake)
    documents = read("good-name==1.0")
    assert all("Authorization" in headers for _, _, headers in fake.requests), "it was not sent"
    told = [str(documents)]
    read("good-name")
    fake.status[path] = 403
    places = ("http://user:s3cret@127.0.0.1:9/simple", "http://user:s3/cret@host/simple",
              "http://user:s3cret@host:port/simple", with_password)  # fmt: skip
    for place in places:
        monkeypatch.setenv("PIP_INDEX_URL", place)
        monkeypatch.setenv("WORKBENCH_HOME", str(home / "other"))
        with pytest.raises(WorkbenchError) as caught:
            read("good-name==1.0")
        told += [str(caught.value), repr(caught.value)]
    for text in (*told, caplog.text):
        assert "s3cret" not in text and "s3" not in text.replace("s3cret", "")
    for path_here in home.rglob("*"):
        assert not path_here.is_file() or b"s3cret" not in path_here.read_bytes()


# --- what is in it ---------------------------------------------------------------------


def test_build_products_and_what_is_no_text_are_counted(fake: FakeIndex) -> None:
    data = sdist(
        **{
            "PKG-INFO": METADATA,
            "src/good_name.egg-info/SOURCES.txt": "a\n",
            "build/lib/copy.py": "x = 1\n",
            "src/build/module.py": "y = 1\n",
            "nested.zip": zipped(),
            "nested.tar.gz": sdist(),
            "empty.py": "",
            ".github/ci.yml": "a: 1\n",
            "vendor/other.py": "z = 1\n",
            "latin.txt": "é".encode("latin-1"),
            "large.json": b"1" * 1_000_001,
        }
    )
    fake.add_sdist("good_name-1.0.tar.gz", data)
    crawler = SourceDistribution("good-name==1.0")
    for _ in range(2):
        assert [d.path for d in crawler.crawl()] == ["src/mod.py", "src/build/module.py"]
        assert crawler.skipped == Counter(
            {"build product": 3, "binary": 2, "empty": 1, "hidden": 1, "vendored": 1,
             "undecodable": 1, "too large": 1}
        )  # fmt: skip


def test_a_damaged_archive_gives_what_stands_before_the_damage(fake: FakeIndex) -> None:
    whole = sdist(**{"a.py": "a = 1\n", "noise.bin": os.urandom(100_000), "b.py": "b = 1\n"})
    fake.add_sdist("good_name-1.0.tar.gz", whole[:50_000])
    crawler = SourceDistribution("good-name==1.0")
    assert [d.path for d in crawler.crawl()] == ["src/mod.py", "a.py"]
    assert crawler.skipped == Counter({"archive damaged": 1})


def test_nothing_of_a_package_is_run_or_unpacked(
    fake: FakeIndex, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    mark = tmp_path / "ran"
    code = f"open({str(mark)!r}, 'w')\n"
    toml = "[build-system]\nrequires = []\nbuild-backend = 'setup'\nbackend-path = ['.']\n"
    data = sdist(**{"setup.py": code, "conftest.py": code, "pyproject.toml": toml})
    fake.add_sdist("good_name-1.0.tar.gz", data)
    assert list(read("good-name==1.0")) == [
        "src/mod.py",
        "setup.py",
        "conftest.py",
        "pyproject.toml",
    ]
    assert not mark.exists()
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == {
        path for path in (home / "downloads").rglob("*") if path.is_file()
    }


# --- licences --------------------------------------------------------------------------


OSI = "Classifier: License :: OSI Approved"


@pytest.mark.parametrize(
    ("lines", "licence"),
    [
        ("License-Expression: mit or apache-2.0", "MIT OR Apache-2.0"),
        (f"License-Expression: Nonsense\n{OSI} :: MIT License", "MIT"),
        (f"{OSI} :: Apache Software License", "Apache-2.0"),
        (f"{OSI}\n{OSI} :: ISC License (ISCL)", "ISC"),
        (f"{OSI} :: BSD License\nLicense: BSD-3-Clause", "BSD-3-Clause"),
        (f"{OSI} :: BSD License", None),
        (f"{OSI} :: MIT License\n{OSI} :: Apache Software License", None),
        ("License: MIT", "MIT"),
        ("License: " + MIT.replace("\n", "\n        "), "MIT"),
        ("License: see the file", None),
        ("License: \udcff\udcfe", None),
        ("", None),
    ],
)
def test_the_licence_is_what_the_metadata_declare(lines: str, licence: str | None) -> None:
    metadata = f"Metadata-Version: 2.4\nName: a\nVersion: 1\n{lines}\n\nBody\n"
    assert declared_licence(metadata.encode("utf-8", "surrogateescape")) == licence


def test_metadata_of_noise_declare_nothing() -> None:
    for data in (
        b"",
        b"\0" * 1000,
        os.urandom(5000),
        b"License: " * 50_000,
        b"Classifier:\n" * 9999,
    ):
        assert declared_licence(data) is None


def test_without_a_declaration_the_nearest_licence_text_counts(fake: FakeIndex) -> None:
    apache = "SPDX-License-Identifier: Apache-2.0\n"
    members = {"LICENSE": MIT, "src/part/LICENSE": apache, "src/part/deep/b.py": "b = 1\n"}
    fake.add_sdist("good_name-1.0.tar.gz", sdist(**members))
    found = {path: document.license for path, document in read("good-name==1.0").items()}
    assert found["src/mod.py"] == "MIT" and found["src/part/deep/b.py"] == "Apache-2.0"


def test_a_declaration_holds_for_all_files_wherever_it_stands(fake: FakeIndex) -> None:
    fake.add_sdist("good_name-1.0.tar.gz", sdist(**{"LICENSE": MIT, "PKG-INFO": METADATA}))
    assert {d.license for d in read("good-name==1.0").values()} == {"ISC"}
