"""Crawling several sources: at once, within caps, through filters, and past every interruption."""

from __future__ import annotations

import _thread
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench import durable
from workbench.cancel import cancelled, cancelled_by
from workbench.corpus import crawl, crawling, open_corpus, parts
from workbench.corpus.caps import Caps
from workbench.corpus.entries import Skip, make_document
from workbench.corpus.sources import Source, parse_source, redact
from workbench.errors import BadInput, Cancelled, MissingExtra, UnknownName, WorkbenchError
from workbench.progress import heard_by
from workbench.types import Document

SHA = "0123456789abcdef0123456789abcdef01234567"
ONE, TWO, THREE = "pypi:one==1", "pypi:two==2", "pypi:three==3"


class Fake:
    """A source of some files, which says how often it was opened and read."""

    def __init__(self, name: str, files: int = 3, revision: str | None = "r1") -> None:
        self.source = name.partition("==")[0].partition("@")[0]
        self.revision = revision
        self.skipped: Counter[str] = Counter()
        self.files = files
        self.opened = self.read = 0
        self.before: Callable[[int], None] = lambda number: None
        self.text = "value = '{name} {number}'\n"

    def crawl(self) -> Iterator[Document]:
        self.read += 1
        self.skipped.clear()
        self.skipped["hidden"] += 1
        for number in range(self.files):
            self.before(number)
            text = self.text.format(name=self.source, number=number)
            yield make_document(
                f"{number}.py", text, source=self.source, revision=self.revision, license="MIT"
            )


class World(dict[str, Fake]):
    """The sources that there are, by the string that names them."""

    def add(self, name: str, **settings: Any) -> Fake:
        self[name] = Fake(name, **settings)
        return self[name]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    fakes = World()

    def open_fake(source: Source, caps: Caps) -> Fake:
        name = f"{source.kind}:{source.argument}"
        if name not in fakes:
            raise BadInput(f"There is no {name}.", "Give another.")
        fakes[name].opened += 1
        return fakes[name]

    monkeypatch.setattr(Source, "open", open_fake)
    return fakes


class FakeFilters:
    """Leaves out what says so, and marks what says so."""

    def __init__(self, without: Any = (), **options: Any) -> None:
        self.fingerprint = f"fake|{','.join(without)}|{options}"
        self.noted = Counter[str]()

    def __call__(self, document: Document) -> Document:
        if "leave out" in document.text:
            raise Skip("unwanted")
        if "change" in document.text:
            self.noted["mended"] += 1
            return make_document(
                document.path, "mended = 1\n", source=document.source, revision=None, license=None
            )
        return document


@pytest.fixture(autouse=True)
def fake_filters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        crawling, "make_filters", lambda without, options: FakeFilters(without, **options)
    )


def everything(home: Path) -> bytes:
    return b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())


# --- several at once -------------------------------------------------------------------


def test_sources_are_read_at_the_same_time(world: World) -> None:
    both = threading.Barrier(2)
    for name in (ONE, TWO):
        world.add(name).before = lambda number: number == 0 and both.wait(timeout=10) and None
    assert len(crawl("mine", [ONE, TWO])) == 6


def test_documents_stand_in_the_order_of_their_sources_whichever_is_read_first(
    world: World,
) -> None:
    two_is_read = threading.Event()
    world.add(ONE).before = lambda _: two_is_read.wait(10) and None
    world.add(TWO).before = lambda number: two_is_read.set() if number == 2 else None
    corpus = crawl("mine", [ONE, TWO])
    places = [(document.source, document.path) for document in corpus.documents()]
    assert places == [(s, f"{n}.py") for s in ("pypi:one", "pypi:two") for n in range(3)]
    assert corpus.sources == (("pypi:one", "r1"), ("pypi:two", "r1"))


def test_more_sources_than_readers_are_all_read(world: World) -> None:
    names = [f"pypi:p{number}==1" for number in range(parts.THREADS * 3)]
    for name in names:
        world.add(name, files=1)
    assert len(crawl("mine", names)) == len(names)


def test_memory_does_not_grow_with_the_corpus(world: World) -> None:
    for name in (ONE, TWO):
        world.add(name, files=100).text = "x" * 200_000 + "{number}"  # 20 MB each
    tracemalloc.start()
    try:
        assert crawl("mine", [ONE, TWO]).report().bytes > 40_000_000
        assert tracemalloc.get_traced_memory()[1] < 8_000_000
    finally:
        tracemalloc.stop()


def test_progress_is_told_in_the_thread_that_asked(world: World) -> None:
    world.add(ONE).before = lambda _: time.sleep(0.15)
    told: list[tuple[str, float]] = []
    threads = set()

    def listen(done: float, total: float | None, what: str, unit: str) -> None:
        told.append((what, done))
        threads.add(threading.current_thread())

    with heard_by(listen):
        crawl("mine", [ONE])
    assert threads == {threading.current_thread()}
    assert {what for what, _ in told} == {"Crawling mine", "Filtering mine"}
    assert max(done for what, done in told if what == "Crawling mine") >= 1


def test_a_source_at_two_revisions_is_refused(world: World) -> None:
    world.add("git:https://h/x@" + "a" * 40, revision="a" * 40)
    world.add("git:https://h/x@" + "b" * 40, revision="b" * 40)
    for name in world:
        world[name].source = "git:https://h/x"
    with pytest.raises(BadInput, match="named at two revisions"):
        crawl("mine", list(world))


# --- what fails, and goes on -----------------------------------------------------------


def test_a_source_that_fails_is_named_and_the_finished_ones_are_kept(world: World) -> None:
    finished = threading.Event()
    world.add(ONE).before = lambda number: finished.set() if number == 2 else None

    def fail(_: int) -> None:
        finished.wait(10)
        time.sleep(0.2)
        raise ConnectionResetError(104, "Connection reset by peer")

    world.add(TWO).before = fail
    with pytest.raises(WorkbenchError) as caught:
        crawl("mine", [ONE, TWO])
    assert str(caught.value) == (
        "The source pypi:two==2 cannot be read: Connection reset by peer. "
        "Try again: the sources that are finished are kept."
    )
    world[TWO].before = lambda _: None
    assert len(crawl("mine", [ONE, TWO])) == 6
    assert (world[ONE].opened, world[ONE].read, world[TWO].read) == (1, 1, 2)


@pytest.mark.parametrize("error", [BadInput("Nothing there."), MissingExtra("It", "data")])
def test_an_error_that_names_no_source_is_given_its_name_and_stays_of_its_kind(
    world: World, error: WorkbenchError
) -> None:
    def fail(_: int) -> None:
        raise error

    world.add(ONE).before = fail
    with pytest.raises(type(error), match=r"^The source pypi:one==1 cannot be read: ") as caught:
        crawl("mine", [ONE])
    assert str(error) in str(caught.value)
    assert caught.value.exit_code == error.exit_code


def test_what_was_finished_at_another_revision_is_read_again(world: World) -> None:
    world.add("pypi:one")
    with pytest.raises(BadInput, match="There is no pypi:two"):
        crawl("mine", ["pypi:one", "pypi:two"])
    world.add("pypi:two")
    world["pypi:one"].revision = "r2"
    corpus = crawl("mine", ["pypi:one", "pypi:two"])
    assert dict(corpus.sources)["pypi:one"] == "r2"
    assert {document.revision for document in corpus.documents()} == {"r1", "r2"}
    assert world["pypi:one"].read == 2


@pytest.mark.parametrize(("revision", "times"), [("r1", 1), (None, 2)])
def test_what_is_not_pinned_is_read_once_only_if_its_revision_says_so(
    world: World, monkeypatch: pytest.MonkeyPatch, revision: str | None, times: int
) -> None:
    world.add("pypi:one", revision=revision)

    def fail(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(crawling, "write_corpus", fail)
        with pytest.raises(KeyboardInterrupt):
            crawl("mine", ["pypi:one"])
    crawl("mine", ["pypi:one"])
    assert world["pypi:one"].read == times


@pytest.mark.parametrize("damage", ["cut", "gone", "description"])
def test_a_damaged_part_is_read_again(world: World, home: Path, damage: str) -> None:
    world.add(ONE)
    with pytest.raises(BadInput):
        crawl("mine", [ONE, TWO])
    folder = home / "corpora" / "mine" / "parts"
    while not list(folder.glob("*.json")):  # the reader that was told to stop may still write
        crawl_again = pytest.raises(BadInput)
        with crawl_again:
            crawl("mine", [ONE, TWO])
    (file,) = folder.glob("*.jsonl")
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:-1])
    elif damage == "gone":
        file.unlink()
    else:
        (description,) = folder.glob("*.json")
        description.write_text("{")
    read = world[ONE].read
    world.add(TWO)
    assert len(crawl("mine", [ONE, TWO])) == 6
    assert world[ONE].read == read + 1


def test_nothing_is_left_beside_the_corpus(world: World, home: Path) -> None:
    world.add(ONE)
    crawl("mine", [ONE])
    left = {path.name for path in (home / "corpora" / "mine").iterdir()} - {"writer.lock"}
    assert left == {"corpus.json", f"documents-{open_corpus('mine').digest[:16]}.jsonl"}


def test_ctrl_c_keeps_the_old_corpus_and_what_was_finished(world: World) -> None:
    world.add(ONE)
    old = crawl("mine", [ONE])
    finished = threading.Event()
    world.add(TWO).before = lambda number: finished.set() if number == 2 else None

    def interrupt(number: int) -> None:
        finished.wait(10)
        time.sleep(0.2)
        _thread.interrupt_main()
        while not cancelled():
            time.sleep(0.01)

    world.add(THREE).before = interrupt
    with pytest.raises(KeyboardInterrupt):
        crawl("mine", [TWO, THREE])
    assert open_corpus("mine") == old
    world[THREE].before = lambda _: None
    assert len(crawl("mine", [TWO, THREE])) == 6
    assert world[TWO].read == 1


def test_a_crawl_that_nobody_waits_for_ends_within_two_seconds_whatever_hangs(
    world: World,
) -> None:
    event, release = threading.Event(), threading.Event()

    def hang(_: int) -> None:
        event.set()
        release.wait(30)

    world.add(ONE).before = hang
    start = time.monotonic()
    with cancelled_by(event), pytest.raises(Cancelled, match="mine was stopped"):
        crawl("mine", [ONE])
    assert time.monotonic() - start < 2
    release.set()
    world[ONE].before = lambda _: None
    assert len(crawl("mine", [ONE])) == 3


def test_filtering_stops_once_nobody_waits_and_reads_no_pinned_source_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.add(ONE)
    event = threading.Event()
    plain = FakeFilters.__call__

    def filter_and_stop(self: FakeFilters, document: Document) -> Document:
        event.set()
        return plain(self, document)

    monkeypatch.setattr(FakeFilters, "__call__", filter_and_stop)
    with cancelled_by(event), pytest.raises(Cancelled, match="it goes on"):
        crawl("mine", [ONE])
    assert len(crawl("mine", [ONE])) == 3
    assert world[ONE].read == 1


def test_a_source_is_not_named_twice_in_an_error(world: World) -> None:
    def fail(_: int) -> None:
        raise BadInput("https://h/x has no such revision.", "Name another.")

    world.add("git:https://h/x@main").before = fail
    with pytest.raises(BadInput) as caught:
        crawl("mine", ["git:https://h/x@main"])
    assert str(caught.value) == "https://h/x has no such revision. Name another."


# --- caps ------------------------------------------------------------------------------


@pytest.mark.parametrize("files", [1, 3, 4, 5, 6, 100])
def test_a_cap_of_files_holds_for_all_sources_and_cuts_the_same_each_time(
    world: World, files: int
) -> None:
    world.add(ONE)
    world.add(TWO)
    corpora = [crawl(name, [ONE, TWO], caps=Caps(files=files)) for name in ("a", "b")]
    assert corpora[0].digest == corpora[1].digest
    report = corpora[0].report()
    assert report.read == min(files, 6)
    assert report.is_cut == (files < 6)
    assert (f"beyond the cap of {files} files" in report.skipped) == (files < 6)
    assert report.skipped["hidden"] == 2
    assert report.seen == report.read + sum(report.skipped.values())


def test_a_cap_of_files_ends_the_reading(world: World) -> None:
    world.add(ONE, files=1000)
    met = []
    world[ONE].before = met.append
    crawl("mine", [ONE], caps=Caps(files=5))
    assert len(met) == 6


def test_a_cap_of_bytes_cuts_at_the_first_file_that_does_not_fit(world: World) -> None:
    size = len("value = 'pypi:one 0'\n")
    world.add(ONE)
    world.add(TWO)
    corpus = crawl("mine", [ONE, TWO], caps=Caps(bytes=4 * size + 1))
    assert len(corpus) == 4
    assert corpus.report().bytes == 4 * size
    assert corpus.report().skipped == {"hidden": 2, f"beyond the cap of {4 * size + 1} bytes": 2}


def test_a_cap_of_seconds_keeps_what_came_in_time(world: World) -> None:
    release = threading.Event()
    world.add(ONE)
    world.add(TWO).before = lambda number: number == 1 and release.wait(20) and None
    start = time.monotonic()
    corpus = crawl("mine", [ONE, TWO], caps=Caps(seconds=0.5))
    assert time.monotonic() - start < 4
    assert len(corpus) == 3  # the file of a source that hangs is not waited for
    assert corpus.report().skipped == {"hidden": 1, "beyond the cap of 0.5 seconds": 1}
    assert corpus.report().is_cut
    release.set()
    world[TWO].before = lambda _: None
    whole = crawl("mine")
    assert (len(whole), whole.unchanged) == (6, False)


def test_a_slow_source_gives_what_it_had_when_time_is_up(world: World) -> None:
    world.add(ONE, files=1000).before = lambda _: time.sleep(0.05)
    report = crawl("mine", [ONE], caps=Caps(seconds=0.5)).report()
    assert 2 < report.read < 20
    assert report.skipped == {"hidden": 1, "beyond the cap of 0.5 seconds": 1}


# --- filters ---------------------------------------------------------------------------


def test_what_filters_leave_out_and_change_is_counted(world: World) -> None:
    world.add(ONE).text = "leave out {number}"
    world.add(TWO).text = "change {number}"
    world.add(THREE)
    corpus = crawl("mine", [ONE, TWO, THREE])
    report = corpus.report()
    assert (report.read, report.seen) == (6, 12)
    assert report.skipped == {"hidden": 3, "unwanted": 3}
    assert report.changed == {"mended": 3}
    assert report.licences == {"unknown": 3, "MIT": 3}
    assert [document.text for document in corpus.documents()][:3] == ["mended = 1\n"] * 3
    page = report._repr_html_()
    assert all(word in page for word in ("unwanted", "mended", "MIT", "python", "Left out"))


def test_other_filters_are_another_corpus_and_stay_with_it(world: World) -> None:
    world.add(ONE)
    plain = crawl("mine", [ONE])
    assert crawl("mine", [ONE]).unchanged
    other = crawl("mine", [ONE], without=["tests", "size"])
    assert not other.unchanged
    assert other.recipe.without == ("size", "tests")
    assert other.recipe.filters != plain.recipe.filters
    assert crawl("mine").recipe == other.recipe
    assert crawl("mine", without=["size", "tests"]).unchanged
    assert not crawl("mine", without=[]).unchanged


def test_the_real_filters_are_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path / "home"))
    code = tmp_path / "code"
    (code / "tests").mkdir(parents=True)
    body = "".join(f"def f{n}(a, b):\n    return a * {n} + b\n\n\n" for n in range(20))
    (code / "one.py").write_text(body)
    (code / "two.py").write_text(body)
    (code / "key.py").write_text('AWS_KEY = "AKIAIOSFODNN7EXAMPLQ"\n' + body.replace("f", "g"))
    (code / "tests" / "test_one.py").write_text("def test(): ...\n")
    report = crawl("mine", [f"folder:{code}"]).report()
    assert sum(report.skipped.values()) == 2  # the test, and the double
    assert sum(report.changed.values()) == 1  # the key
    assert b"AKIAIOSFODNN7EXAMPLQ" not in everything(tmp_path / "home")
    every = crawl("all", [f"folder:{code}"], without=["tests", "duplicates", "secrets"]).report()
    assert every.read == 4
    with pytest.raises(UnknownName, match="Did you mean tests"):
        crawl("mine", [f"folder:{code}"], without=["test"])


# --- the second time -------------------------------------------------------------------


def test_pinned_sources_that_are_there_are_not_even_opened(world: World, home: Path) -> None:
    world.add(f"git:https://h/x@{SHA}#sub", revision=SHA)
    world.add(ONE)
    first = crawl("mine", list(world))
    again = crawl("mine", list(world))
    assert (again, again.unchanged) == (first, True)
    assert [fake.opened for fake in world.values()] == [1, 1]
    assert crawl("mine").unchanged  # by its name, too, and still pinned
    assert [fake.opened for fake in world.values()] == [1, 1]
    assert not crawl("mine", caps=Caps(files=100)).unchanged


def test_one_source_that_is_not_pinned_is_read_again(world: World) -> None:
    world.add("git:https://h/x@main")
    world.add(ONE)
    crawl("mine", list(world))
    again = crawl("mine", list(world))
    assert again.unchanged
    assert world["git:https://h/x@main"].read == 2


def test_a_damaged_corpus_of_pinned_sources_is_read_again(world: World, home: Path) -> None:
    world.add(ONE)
    whole = crawl("mine", [ONE])
    (file,) = (home / "corpora" / "mine").glob("documents-*.jsonl")
    file.write_bytes(file.read_bytes().replace(b"value", b"VALUE"))
    mended = crawl("mine", [ONE])
    assert not mended.unchanged
    assert list(mended.documents()) == list(whole.documents())


def test_a_corpus_is_crawled_again_from_the_very_sources_it_was_asked_for(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "repo").mkdir()
    world.add(f"git:{tmp_path}/repo@main#sub")
    monkeypatch.chdir(tmp_path)
    crawl("mine", ["git:repo@main#sub"])
    monkeypatch.chdir("/")
    assert crawl("mine").recipe.sources == (f"git:{tmp_path}/repo@main#sub",)


# --- passwords -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("git:https://u:secret@h/x@main", "git:https://h/x@main"),
        ("git:https://secret@h/x.git@" + SHA, "git:https://h/x.git@" + SHA),
        ("git:https://u:se@cret@h/x", "git:https://h/x"),
        ("git:https://u:se/cret@h/x", "git:https://h/x"),
        ("git:ssh://git@h/x@v1", "git:ssh://git@h/x@v1"),
        ("git:ssh://git:secret@h/x@v1", "git:ssh://h/x@v1"),
        ("git:u:secret@h:o/r", "git:h:o/r"),
        ("git:git@h:o/r@main", "git:git@h:o/r@main"),
        ("git:https://h:8080/x@v1", "git:https://h:8080/x@v1"),
        ("https://h/x?access_token=secret&a=1", "https://h/x?access_token=&a=1"),
        ("see https://a:secret@h/x and http://secret@i/y.", "see https://h/x and http://i/y."),
        ("folder:/home/a@b/c", "folder:/home/a@b/c"),
        (f"hf:org/name@{SHA}:train#x", f"hf:org/name@{SHA}:train#x"),
    ],
)
def test_what_is_shown_of_a_source_holds_no_password(text: str, shown: str) -> None:
    assert redact(text) == shown


# A slash parts the host from the path, so that a password must write it %2F.
@given(st.text(st.characters(exclude_categories=["Z", "C"], exclude_characters="/"), min_size=1))
def test_no_password_survives_whatever_its_characters(password: str) -> None:
    assert redact(f"git:https://me:{password}@h/x@main") == "git:https://h/x@main"
    assert redact(f"no https://{password}@h/x.") == "no https://h/x."
    assert redact(f"git:ssh://me:{password}@h/x") == "git:ssh://h/x"


def test_a_password_reaches_neither_store_nor_error_nor_repr(
    world: World, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = f"git:https://me:hunter2@h/x@{SHA}"
    world.add(name, revision=SHA).source = "git:https://h/x"
    crawl("mine", [name])
    assert world[name].opened == 1  # it was opened with it
    assert crawl("mine").unchanged

    def fail(_: int) -> None:
        raise OSError("cannot connect to https://me:hunter2@h/x")

    world.add("git:https://me:hunter2@h/y@main").before = fail
    shown = repr(parse_source(name)) + str(parse_source(name))
    other = "git:https://me:hunter2@h/y@main"
    mistakes = [("a", [other]), ("a", ["https://me:hunter2@h/x"]), (other, []), (other, [ONE])]
    for called, sources in mistakes:
        with pytest.raises(WorkbenchError) as caught:
            crawl(called, sources)
        shown += str(caught.value)
    with pytest.raises(WorkbenchError) as caught:
        open_corpus(other)
    shown += str(caught.value)
    assert "hunter2" not in shown
    assert b"hunter2" not in everything(home)
    assert "hunter2" not in "".join(capsys.readouterr())


# --- killed ----------------------------------------------------------------------------

# A child that crawls two folders of one file after the other, slowly enough to be killed midway.
CHILD = """
    import sys, time
    from collections import Counter
    from types import SimpleNamespace
    from workbench.corpus import crawling
    from workbench.corpus.folder import Folder
    class NoFilters(SimpleNamespace):
        def __call__(self, document):
            time.sleep(0.002)
            return document
    crawling.make_filters = lambda *_: NoFilters(fingerprint="none", noted=Counter())
    whole = Folder.crawl
    def slow(self):
        for document in whole(self):
            time.sleep(0.002)
            yield document
    Folder.crawl = slow
    print("there", flush=True)
    print(crawling.crawl("mine", sys.argv[1:]).digest, flush=True)
"""


@pytest.fixture
def folders(tmp_path: Path) -> list[str]:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in range(30):
            (tmp_path / name / f"{number}.py").write_text(f"{name} = {number}\n")
    return [f"folder:{tmp_path / name}" for name in ("a", "b")]


def child(folders: list[str], **environment: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", textwrap.dedent(CHILD), *folders]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment}
    )


def test_a_crawl_killed_at_any_point_or_moment_is_finished_by_the_next_call(
    folders: list[str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crawling, "make_filters", lambda *_: FakeFilters())
    expected = crawl("whole", folders).digest
    points = [point for point in durable.POINTS if point.startswith("crawl.")]
    cases = [(f"{point}:1", 0.0) for point in points] + [("crawl.source:2", 0.0)]
    cases += [("", random.Random(number).uniform(0.0, 0.25)) for number in range(3)]
    for number, (where, seconds) in enumerate(cases):
        old = crawl("mine", folders[:1])
        assert len(old) == 30
        with child(folders, **({"WORKBENCH_CRASH_AT": where} if where else {})) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "there\n"
            if not where:
                time.sleep(seconds)
                process.kill()
        assert process.returncode in ((-signal.SIGKILL,) if where else (-signal.SIGKILL, 0))
        assert open_corpus("mine").digest in (old.digest, expected), (number, where)
        assert len(list(open_corpus("mine").documents())) in (30, 60)
        assert crawl("mine", folders).digest == expected, (number, where)
        left = {path.name for path in (home / "corpora" / "mine").iterdir()}
        assert left - {"writer.lock"} == {"corpus.json", f"documents-{expected[:16]}.jsonl"}


def test_corpus_json_tells_how_the_corpus_was_made(world: World, home: Path) -> None:
    world.add(ONE)
    corpus = crawl("mine", [ONE], caps=Caps(files=9), without=["tests"])
    table = json.loads((home / "corpora" / "mine" / "corpus.json").read_text())
    assert table["recipe"] == {
        "sources": [ONE],
        "caps": {"files": 9, "bytes": 2_000_000_000, "seconds": 3600.0},
        "without": ["tests"],
        "options": {},
        "filters": "fake|tests|{}",
    }
    (file,) = (home / "corpora" / "mine").glob("documents-*.jsonl")
    assert hashlib.sha256(file.read_bytes()).hexdigest() == corpus.digest == table["digest"]
