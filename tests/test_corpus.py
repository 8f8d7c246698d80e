"""Crawling: what is read, what is left out and counted, and what survives on disk."""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import signal
import subprocess
import sys
import tarfile
import textwrap
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_index import FakeIndex

from workbench.corpus import (
    CRAWLERS,
    crawl,
    crawling,
    list_corpora,
    list_manifests,
    open_corpus,
    parse_source,
)
from workbench.corpus import manifest as manifest_module
from workbench.corpus.caps import Caps
from workbench.corpus.folder import Folder
from workbench.corpus.licences import canonical_licence
from workbench.corpus.manifest import read_manifest
from workbench.corpus.store import Recipe
from workbench.errors import BadInput, InUse, MissingCorpus, UnknownName, WorkbenchError
from workbench.types import Document

pytest_plugins = ["tiny_fixtures"]


@pytest.fixture
def code(tmp_path: Path) -> Path:
    root = tmp_path / "code"
    (root / "pkg").mkdir(parents=True)
    (root / "b.py").write_text("def b():\n    return 2\n")
    (root / "pkg" / "a.java").write_text("class A { }\n")
    (root / "notes.txt").write_text("plain words\n")
    return root


class NoFilters:
    """Lets everything through: what the filters leave out is told in their own tests."""

    fingerprint = "none"

    def __init__(self) -> None:
        self.noted = Counter[str]()

    def __call__(self, document: Document) -> Document:
        return document


@pytest.fixture(autouse=True)
def no_filters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crawling, "make_filters", lambda without, options: NoFilters())


def snapshot(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        path.name: (path.stat().st_mtime_ns, path.read_bytes())
        for path in folder.iterdir()
        if path.suffix in (".json", ".jsonl")
    }


# --- sources ---------------------------------------------------------------------------


def test_a_source_string_names_its_crawler() -> None:
    assert str(parse_source("folder:some/where")) == "folder:some/where"
    assert parse_source(" stdlib ").kind == "stdlib"


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("foldr:x", "Did you mean folder:PATH?"),
        ("stdlip", "Did you mean stdlib?"),
        ("folder", "Write folder:PATH."),
        ("folder: ", "Write folder:PATH."),
        ("stdlib:3.11", "Write stdlib."),
        ("", "Sources: stdlib | folder:PATH | git:URL@REV"),
    ],
)
def test_a_wrong_source_gets_the_right_form(text: str, hint: str) -> None:
    with pytest.raises(BadInput, match="source") as caught:
        parse_source(text)
    assert hint in str(caught.value)


def test_a_bare_path_is_offered_as_a_folder(code: Path) -> None:
    with pytest.raises(BadInput) as caught:
        parse_source(str(code))
    assert f"Did you mean folder:{code}?" in str(caught.value)


def one_of_each(code: Path, fake: FakeIndex) -> dict[str, str]:
    """Return a source of each kind that is to be had on this machine."""
    (code / "rows.jsonl").write_text('{"text": "x = 1"}\n')
    identity = ["-c", "user.name=A", "-c", "user.email=a@localhost"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "x"]):
        subprocess.run(["git", "-C", str(code), *identity, *command], check=True)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        archive.add(code / "b.py", "good-1.0/b.py")
    fake.add_sdist("good-1.0.tar.gz", packed.getvalue())
    return {
        "stdlib": "stdlib",
        "folder": f"folder:{code}",
        "git": f"git:{code}@HEAD",
        "pypi": "pypi:good==1.0",
        "hf": f"hf:{code}/rows.jsonl#text",
    }


@pytest.mark.parametrize("kind", [entry.name for entry in CRAWLERS])
def test_every_registered_crawler_opens_and_says_its_source(
    code: Path, fake: FakeIndex, kind: str
) -> None:
    crawler = parse_source(one_of_each(code, fake)[kind]).open()
    documents = list(crawler.crawl())
    assert {(d.source, d.revision) for d in documents} == {(crawler.source, crawler.revision)}
    assert parse_source(crawler.source).kind == kind
    paths = [document.path for document in documents]
    assert len(set(paths)) == len(paths)
    skipped = crawler.skipped.copy()
    assert list(crawler.crawl()) == documents  # it may be read again, and counts anew
    assert crawler.skipped == skipped


@pytest.mark.parametrize("path", ["missing", "b.py"])
def test_what_is_no_folder_is_bad_input(code: Path, path: str) -> None:
    with pytest.raises(BadInput, match=r"does not exist|is a file"):
        Folder(code / path)


# --- what is read and what is left out -------------------------------------------------


def test_documents_come_in_sorted_order_with_language_and_hash(code: Path) -> None:
    documents = list(Folder(code).crawl())
    assert [d.path for d in documents] == ["b.py", "notes.txt", "pkg/a.java"]
    assert [d.language for d in documents] == ["python", None, "java"]
    for document in documents:
        assert document.sha256 == hashlib.sha256(document.text.encode()).hexdigest()
        assert document.source == f"folder:{code.as_posix()}"


def test_each_skip_is_counted_by_its_reason(code: Path) -> None:
    (code / ".env").write_text("SECRET=1\n")
    (code / ".git").mkdir()
    (code / ".git" / "config").write_text("x\n")
    (code / "node_modules" / "lib").mkdir(parents=True)
    (code / "node_modules" / "lib" / "x.js").write_text("x\n")
    (code / "env").mkdir()
    (code / "env" / "pyvenv.cfg").write_text("home = x\n")
    (code / "__pycache__").mkdir()
    (code / "image.png").write_bytes(b"\x89PNG\r\n\0\0")
    (code / "utf16.txt").write_text("words", encoding="utf-16")
    (code / "latin.txt").write_bytes(b"caf\xe9\n")
    (code / "cookie.py").write_bytes(b"# coding: no-such-codec\nx = 1\n")
    (code / "rot.py").write_bytes(b"# coding: rot13\nk = 1\n")
    (code / "surrogates.py").write_bytes(b"# coding: utf-7\nx = '+2AA-'\n")
    (code / "blank.py").write_text(" \n\t\n")
    (code / "empty.py").write_text("")
    (code / "big.py").write_text("x = 1\n" * 900_000)  # 5.4 MB
    (code / "loop").symlink_to(code, target_is_directory=True)
    (code / "twin.py").symlink_to(code / "b.py")
    os.mkfifo(code / "pipe")
    crawler = Folder(code)
    read = [document.path for document in crawler.crawl()]
    assert read == ["b.py", "notes.txt", "pkg/a.java"]
    assert crawler.skipped == {
        "hidden": 2,
        "vendored": 2,
        "cache": 1,
        "binary": 2,
        "undecodable": 4,
        "empty": 2,
        "too large": 1,
        "link": 2,
        "not a file": 1,
    }
    entries = sum(1 for _ in code.iterdir()) + sum(1 for _ in (code / "pkg").iterdir())
    assert len(read) + crawler.skipped.total() == entries - 1  # pkg itself was entered


@pytest.mark.skipif(sys.platform != "linux", reason="only there may file names be any bytes")
def test_a_name_that_is_no_text_is_skipped(code: Path) -> None:
    (Path(os.fsdecode(os.fsencode(code) + b"/\xff.py"))).write_text("x = 1\n")
    crawler = Folder(code)
    assert len(list(crawler.crawl())) == 3
    assert crawler.skipped == {"undecodable name": 1}


def test_an_unreadable_file_or_folder_is_skipped_and_the_others_are_read(
    code: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Patched, and not chmod: tests may run as root, who reads all.
    (code / "locked").mkdir()
    scandir, read_bytes = os.scandir, Folder._read

    def scan(path: Path) -> Iterator[os.DirEntry[str]]:
        if Path(path).name == "locked":
            raise PermissionError(13, "denied")
        return scandir(path)

    def read(self: Folder, path: str) -> bytes:
        if path.endswith("b.py"):
            raise PermissionError(13, "denied")
        return read_bytes(self, path)

    monkeypatch.setattr(os, "scandir", scan)
    monkeypatch.setattr(Folder, "_read", read)
    crawler = Folder(code)
    assert [document.path for document in crawler.crawl()] == ["notes.txt", "pkg/a.java"]
    assert crawler.skipped == {"unreadable": 2}


def test_python_is_decoded_by_its_coding_cookie_and_line_ends_are_kept(code: Path) -> None:
    (code / "latin.py").write_bytes("# coding: latin-1\r\nx = 'é'\r\n".encode("latin-1"))
    (code / "mark.py").write_bytes(b"\xef\xbb\xbfx = 1\n")
    texts = {document.path: document.text for document in Folder(code).crawl()}
    assert texts["latin.py"] == "# coding: latin-1\r\nx = 'é'\r\n"
    assert texts["mark.py"] == "x = 1\n"


def test_a_tree_deeper_than_the_stack_is_crawled(tmp_path: Path) -> None:
    root = here = tmp_path / "deep"
    root.mkdir()
    for _ in range(400):
        here = here / "d"
        here.mkdir()
    (here / "x.py").write_text("x = 1\n")
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(250)
    try:
        assert len(list(Folder(root).crawl())) == 1
    finally:
        sys.setrecursionlimit(limit)


# --- the standard library --------------------------------------------------------------


def test_the_standard_library_is_crawled_without_tests_and_bundles() -> None:
    corpus = crawl("stdlib")
    paths = {document.path for document in corpus.documents()}
    assert {"heapq.py", "json/decoder.py", "asyncio/tasks.py"} <= paths
    assert not [path for path in paths if set(path.split("/")) & {"test", "tests", "idle_test"}]
    assert not [path for path in paths if "site-packages" in path or "ensurepip/_bund" in path]
    assert "encodings/cp1250.py" not in paths
    document = next(corpus.documents())
    assert (document.license, document.revision) == ("PSF-2.0", platform.python_version())
    assert corpus.name == "python-stdlib"
    assert open_corpus("stdlib") == open_corpus("python-stdlib") == corpus


# --- manifests -------------------------------------------------------------------------


def test_every_manifest_can_be_opened() -> None:
    manifests = list_manifests()
    assert "python-stdlib" in [manifest.name for manifest in manifests]
    assert len(manifests) >= 6
    for manifest in manifests:
        assert len(manifest.summary) > 100
        assert canonical_licence(manifest.license) == manifest.license
        for source in manifest.sources:
            assert parse_source(source).pin, f"{manifest.name} does not pin {source}"


GOOD = 'name="x"\nsummary="s"\nlicense="MIT"\nsources=["stdlib"]\n'


def test_a_manifest_may_set_filters_and_caps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x.toml").write_text(
        GOOD + '[filters]\nwithout = ["tests", "size"]\nlicence = {allow = "permissive"}\n'
        "[caps]\nfiles = 5\nseconds = 60\n"
    )
    monkeypatch.setattr(manifest_module, "manifest_folder", lambda: tmp_path)
    corpus = crawl("x")
    assert corpus.recipe == Recipe(
        sources=("stdlib",),
        caps=Caps(files=5, seconds=60),
        without=("size", "tests"),
        options={"licence": {"allow": "permissive"}},
        filters="none",
    )
    assert len(corpus) == 5
    assert crawl("x").unchanged
    assert len(crawl("x", caps=Caps(files=7))) == 7


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("name = ", "cannot be read"),
        ('name = "x"', "lacks"),
        ('name="x"\nsummary="s"\nlicense="MIT"\nsources=[]', "needs sources"),
        ('name="x"\nsummary="s"\nlicense="MIT"\nsources="stdlib"', "needs sources"),
        ('name="x"\nsummary="s"\nlicense=3\nsources=["stdlib"]', "should be a text"),
        (GOOD + "more=1", "lacks or should not have: more"),
        (GOOD + "caps=3", r"needs caps to be a table: \[caps\]"),
        (GOOD + "[caps]\nfile=3", "should not have in caps: file. Caps are bytes, files, seconds"),
        (GOOD + "[caps]\nfiles=true", "caps.files to be a number above zero"),
        (GOOD + "[caps]\nfiles=1.5", "caps.files to be a number above zero"),
        (GOOD + "[caps]\nseconds=0", "caps.seconds to be a number above zero"),
        (GOOD + "[filters]\nwithout='tests'", "filters.without to be a list of names"),
        ('name="y"\nsummary="s"\nlicense="MIT"\nsources=["stdlib"]', "calls itself 'y'"),
    ],
)
def test_a_malformed_manifest_is_named_with_its_fault(
    tmp_path: Path, text: str, cause: str
) -> None:
    path = tmp_path / "x.toml"
    path.write_text(text)
    with pytest.raises(BadInput, match=cause) as caught:
        read_manifest(path)
    assert "x.toml" in str(caught.value)


# --- the corpus on disk ----------------------------------------------------------------


def test_a_corpus_gives_back_what_was_crawled(code: Path) -> None:
    corpus = crawl("mine", [f"folder:{code}"])
    assert list(corpus.documents()) == list(Folder(code).crawl())
    assert list_corpora() == (corpus,) == (open_corpus("mine"),)
    assert len(corpus) == 3
    report = corpus.report()
    assert report.languages == {"python": 1, "other": 1, "java": 1}
    assert report.bytes == sum(len(document.text) for document in corpus.documents())
    assert report.seen == report.read + sum(report.skipped.values())
    assert "mine" in corpus._repr_html_()


def test_crawling_again_writes_nothing_where_nothing_changed(code: Path, home: Path) -> None:
    first = crawl("mine", [f"folder:{code}"])
    before = snapshot(home / "corpora" / "mine")
    again = crawl("mine")  # from where it came
    assert (first.unchanged, again.unchanged) == (False, True)
    assert again.digest == first.digest
    assert snapshot(home / "corpora" / "mine") == before
    (code / "b.py").write_text("def b():\n    return 3\n")
    changed = crawl("mine")
    assert not changed.unchanged
    assert changed.digest != first.digest
    assert len(snapshot(home / "corpora" / "mine")) == 2


def test_a_source_named_twice_is_read_once(code: Path) -> None:
    assert len(crawl("mine", [f"folder:{code}", f"folder:{code}/../code"])) == 3


def test_a_relative_folder_means_the_same_from_anywhere(
    code: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(code)
    first = crawl("mine", ["folder:."])
    monkeypatch.chdir("/")
    assert crawl("mine") == first


@pytest.mark.parametrize("name", ["", "..", "Mine", "a/b", "-x", "a.", "x" * 101, "é"])
def test_a_name_that_makes_no_folder_is_refused(code: Path, name: str) -> None:
    with pytest.raises(BadInput):
        crawl(name, [f"folder:{code}"])
    with pytest.raises(MissingCorpus):
        open_corpus(name)


def test_the_name_of_a_manifest_is_not_for_other_sources(code: Path) -> None:
    with pytest.raises(BadInput, match="belongs to the corpus python-stdlib"):
        crawl("stdlib", [f"folder:{code}"])


def test_an_unknown_corpus_gets_the_nearest_name_and_the_command() -> None:
    with pytest.raises(MissingCorpus) as caught:
        open_corpus("python-stdlb")
    assert "Did you mean python-stdlib? Run: workbench crawl python-stdlib" in str(caught.value)
    with pytest.raises(MissingCorpus, match="Run: workbench crawl python-stdlib"):
        open_corpus("stdlib")
    with pytest.raises(MissingCorpus, match="Run: workbench crawl mine folder:PATH"):
        open_corpus("mine")
    with pytest.raises(UnknownName, match="Did you mean python-stdlib"):
        crawl("python-stdlb")
    with pytest.raises(BadInput, match="Run: workbench crawl NAME folder:x"):
        crawl("folder:x")


def test_a_folder_without_code_makes_no_corpus_and_keeps_the_old_one(
    code: Path, tmp_path: Path
) -> None:
    old = crawl("mine", [f"folder:{code}"])
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "x.bin").write_bytes(b"\0")
    with pytest.raises(BadInput, match="skipped: 1 binary"):
        crawl("mine", [f"folder:{bare}"])
    assert open_corpus("mine") == old


@pytest.mark.parametrize("damage", ["cut", "garbage", "gone"])
def test_a_damaged_corpus_says_so_and_is_mended_by_a_crawl(
    code: Path, home: Path, damage: str
) -> None:
    whole = crawl("mine", [f"folder:{code}"])
    (file,) = (home / "corpora" / "mine").glob("documents-*.jsonl")
    data = file.read_bytes()
    if damage == "gone":
        file.unlink()
    else:
        lines = data.splitlines(keepends=True)
        file.write_bytes(b"".join(lines[:-1]) if damage == "cut" else b"[1]\n" + data)
    with pytest.raises(MissingCorpus):
        list(whole.documents())
    mended = crawl("mine", [f"folder:{code}"])
    assert not mended.unchanged
    assert list(mended.documents()) == list(Folder(code).crawl())


# A child that crawls a folder and says how far it is; then it waits to be killed.
CHILD = """
    import sys, time
    from collections import Counter
    from types import SimpleNamespace
    from workbench.corpus import crawling, store
    from workbench.corpus.folder import Folder
    stage, source = sys.argv[1:]
    class NoFilters(SimpleNamespace):
        def __call__(self, document):
            return document
    crawling.make_filters = lambda *_: NoFilters(fingerprint="none", noted=Counter())
    def wait(*_):
        print("there", flush=True)
        time.sleep(60)
    if stage == "reading":
        crawl = Folder.crawl
        def slow(self):
            documents = crawl(self)
            yield next(documents)
            wait()
        Folder.crawl = slow
    else:
        store._commit = wait
    crawling.crawl("mine", [source])
"""


@pytest.fixture(params=["reading", "committing"])
def child(request: pytest.FixtureRequest, code: Path) -> Iterator[subprocess.Popen[str]]:
    crawl("mine", [f"folder:{code}"])
    (code / "b.py").write_text("def changed(): ...\n")
    command = [sys.executable, "-c", textwrap.dedent(CHILD), request.param, f"folder:{code}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "there\n"
            yield process
        finally:
            process.kill()


def test_a_crawl_that_is_killed_leaves_the_old_corpus_and_the_next_one_succeeds(
    child: subprocess.Popen[str], code: Path, home: Path
) -> None:
    child.send_signal(signal.SIGKILL)
    child.wait()
    old = open_corpus("mine")
    assert "def b():" in next(old.documents()).text
    new = crawl("mine")
    assert "changed" in next(new.documents()).text
    left = {path.name for path in (home / "corpora" / "mine").iterdir()}
    assert left - {"writer.lock"} == {"corpus.json", f"documents-{new.digest[:16]}.jsonl"}


def test_a_second_process_hears_at_once_who_is_writing(child: subprocess.Popen[str]) -> None:
    start = time.monotonic()
    with pytest.raises(InUse, match=f"process {child.pid}"):
        crawl("mine")
    assert time.monotonic() - start < 2
    assert len(open_corpus("mine")) == 3  # reading goes on


def test_a_corpus_of_another_format_counts_as_missing(code: Path, home: Path) -> None:
    crawl("mine", [f"folder:{code}"])
    file = home / "corpora" / "mine" / "corpus.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "format": 0}))
    with pytest.raises(MissingCorpus):
        open_corpus("mine")
    assert not crawl("mine", [f"folder:{code}"]).unchanged


def test_a_full_disk_keeps_the_old_corpus(code: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = crawl("mine", [f"folder:{code}"])
    (code / "b.py").write_text("x = 1\n")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(WorkbenchError, match=r"No space left on device\. Free some space"):
        crawl("mine")
    assert open_corpus("mine") == old
