"""Git sources: what is refused before git starts, and what a hostile repository cannot do."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from workbench.cancel import cancelled_by
from workbench.corpus import clones, crawl, parse_source
from workbench.corpus.caps import Caps
from workbench.corpus.entries import MAX_BYTES
from workbench.corpus.git import GitRepository
from workbench.corpus.git_address import parse_address
from workbench.errors import BadInput, Cancelled, InUse, WorkbenchError
from workbench.locks import exclusive

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")

SHA = "0123456789abcdef0123456789abcdef01234567"
SECRET = "hunter2-secret"
MIT = (Path(__file__).parents[1] / "LICENSE").read_text()  # Apache-2.0, as it happens


class Repository:
    """A repository made object by object, so that it may be one that git would never make."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.git("init", "--quiet", "--bare", ".")

    def git(self, *arguments: str, data: bytes = b"") -> str:
        self.folder.mkdir(parents=True, exist_ok=True)
        identity = {
            f"GIT_{who}_{what}": value
            for who in ("AUTHOR", "COMMITTER")
            for what, value in (
                ("NAME", "t"),
                ("EMAIL", "t@example.org"),
                ("DATE", "1000000000 +0000"),
            )
        }
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        return subprocess.run(
            ["git", *arguments],
            cwd=self.folder,
            input=data,
            env=kept | identity | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"},
            check=True,
            capture_output=True,
        ).stdout.decode()

    def object(self, kind: str, data: bytes) -> str:
        return self.git(
            "hash-object", "-w", "--literally", "-t", kind, "--stdin", data=data
        ).strip()

    def tree(self, *entries: tuple[str, bytes, str]) -> str:
        """Write a tree as it stands: in this order, with these names."""
        rows = (f"{mode} ".encode() + name + b"\0" + bytes.fromhex(o) for mode, name, o in entries)
        return self.object("tree", b"".join(rows))

    def file(self, name: bytes, text: bytes = b"x = 1\n") -> tuple[str, bytes, str]:
        return ("100644", name, self.object("blob", text))

    def commit(self, tree: str, branch: str = "main") -> str:
        commit = self.git("commit-tree", tree, "-m", "a message").strip()
        self.git("update-ref", f"refs/heads/{branch}", commit)
        return commit

    def files(self, files: dict[str, bytes], branch: str = "main") -> str:
        """Commit files as git itself would."""
        script = b"".join(
            b"M 100644 inline %s\ndata %d\n%s\n" % (path.encode(), len(data), data)
            for path, data in files.items()
        )
        head = f"commit refs/heads/{branch}\ncommitter t <t@example.org> 1 +0000\ndata 1\nm\n"
        self.git("fast-import", "--quiet", "--force", data=head.encode() + script)
        return self.git("rev-parse", branch).strip()

    def source(self, revision: str = "main", subdir: str = "") -> str:
        return f"{self.folder}@{revision}" + (f"#{subdir}" if subdir else "")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "origin.git")


@pytest.fixture
def no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError(f"a process was started: {arguments}")

    monkeypatch.setattr(subprocess, "Popen", refuse)


def read(source: str, **caps: float) -> tuple[dict[str, str], dict[str, int]]:
    crawler = GitRepository(source, caps=Caps(**caps))  # type: ignore[arg-type]
    texts = {document.path: document.text for document in crawler.crawl()}
    return texts, dict(crawler.skipped)


def everything_below(folder: Path) -> set[str]:
    return {str(path) for path in folder.rglob("*")}


# --- addresses -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argument", "url", "source"),
    [
        ("https://host.org/a/b@v1", "https://host.org/a/b", "git:https://host.org/a/b"),
        (f"https://u:{SECRET}@host/a@main", "https://host/a", "git:https://host/a"),
        (f"https://{SECRET}@host:8443/a/@x/y", "https://host:8443/a", "git:https://host:8443/a"),
        (f"https://u:p@{SECRET}@host/a@main", "https://host/a", "git:https://host/a"),
        ("https://[::1]/a@main", "https://[::1]/a", "git:https://[::1]/a"),
        (f"git@host.org:a/b.git@{SHA}", "git@host.org:a/b.git", "git:git@host.org:a/b.git"),
        ("ssh://git@host/a@v1#src/x/", "ssh://git@host/a", "git:ssh://git@host/a#src/x"),
    ],
)
def test_an_address_keeps_what_it_says_but_its_secrets(
    argument: str, url: str, source: str
) -> None:
    address = parse_address(argument)
    assert (address.url, address.source) == (url, source)
    assert SECRET not in repr(address)


HOSTILE = [
    "ext::sh -c touch% /tmp/x@main",
    "ext::sh@main",
    "fd::17@main",
    "transport::https://host/a@main",
    "-oProxyCommand=touch@main",
    "--upload-pack=touch /tmp/x@main",
    "-u@main",
    "https://host/a@--upload-pack=x",
    "https://host/a@-x",
    "https://host/a@main..next",
    "https://host/a@main@{1}",
    "https://host/a@main^{tree}",
    "https://host/a@:/message",
    "https://host/a@a b",
    "https://host/a@refs/heads/*",
    "https://host/a@x.lock",
    "https://host/a@.hidden",
    "https://host/a@x//y",
    "https://host/a@",
    "https://host/a",
    "@main",
    "http://host/a@main",
    f"http://u:{SECRET}@host/a@main",
    "git://host/a@main",
    "ftp://host/a@main",
    "javascript://host/a@main",
    "HTTPS-x://host/a@main",
    "ssh://-oProxyCommand=touch/a@main",
    "ssh://-x@host/a@main",
    "ssh://git@-host/a@main",
    "ssh://git@%2doProxyCommand=x/a@main",
    f"ssh://git:{SECRET}@host/a@main",
    "git@-oProxyCommand=x:a@main",
    "-l@host:a@main",
    "git@host:-x@main",
    "git@host:../../a@main",
    "git@host:a`touch x`@main",
    "git@host:$(touch x)@main",
    "https://host/a\n@main",
    "https://host/a\0@main",
    "https://host/a\x1b[31m@main",
    "https://host/%0aa@main",
    "https://host/%00@main",
    f"https://u%0ahost=evil:{SECRET}@host/a@main",
    f"https://u:{SECRET}%0d@host/a@main",
    f"https://u:{SECRET}@host@main",
    f"https://u:{SECRET}@host/a",
    f"https://u:{SECRET}#x@host/a@main",
    f"https://u:{SECRET}/x@host/a@main",
    f"https://host/a?token={SECRET}@main",
    "https:///a@main",
    "https://host@main",
    "https://ho st/a@main",
    "https://host:99999/a@main",
    "https://host:port/a@main",
    "https://host/../a@main",
    "https://[::1/a@main",
    "https://höst/a@main",
    "file://host/a@main",
    "file://relative@main",
    "relative/path@main",
    "../up@main",
    "~/repo@main",
    "/no/such/folder/at/all@main",
    "//host/share@main",
    "/dev/null@main",
    "C:\\repo@main",
    "https://host/a@main#../up",
    "https://host/a@main#/etc",
    "https://host/a@main#-x",
    "https://host/a@main#",
    "https://host/a@main#a//b",
    "https://host/a@main#a\\b",
    "https://host/" + "a" * 3_000 + "@main",
    "https://host/a@" + "a" * 300,
    "\u202ehttps://host/a@main",
    "https://host/\ud800@main",
]


@pytest.mark.parametrize("argument", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_address_is_refused_before_anything_happens(
    argument: str, no_process: None, tmp_path: Path
) -> None:
    before = everything_below(tmp_path)
    with pytest.raises(BadInput) as caught:
        GitRepository(argument)
    assert SECRET not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    assert everything_below(tmp_path) == before


def test_a_hostile_address_makes_no_corpus_and_shows_no_password(home: Path) -> None:
    for argument in HOSTILE:
        with pytest.raises(WorkbenchError) as caught:
            crawl("mine", [f"git:{argument}"])
        assert SECRET not in str(caught.value)
    for path in home.rglob("*"):
        assert not path.is_file() or SECRET.encode() not in path.read_bytes()


def test_git_that_is_missing_is_named(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = repository.files({"a.py": b"x = 1\n"})
    monkeypatch.setenv("PATH", "")
    with pytest.raises(WorkbenchError, match=r"git, which is not installed\. Install git"):
        read(repository.source(commit))


# --- what is read ----------------------------------------------------------------------


def test_a_revision_is_read_by_commit_tag_annotated_tag_and_branch(repository: Repository) -> None:
    old = repository.files({"a.py": b"old = 1\n"})
    repository.git("tag", "light", old)
    repository.git("tag", "-a", "-m", "m", "release/1.0", old)
    new = repository.files({"a.py": b"new = 1\n"}, branch="feature/x")
    for revision in (old, old.upper(), "light", "release/1.0", "main", "refs/heads/main"):
        crawler = GitRepository(repository.source(revision))
        assert crawler.revision == old
        (document,) = crawler.crawl()
        assert (document.text, document.revision) == ("old = 1\n", old)
        assert document.source == crawler.source == f"git:{repository.folder}"
    assert GitRepository(repository.source("feature/x")).revision == new


def test_a_tag_counts_before_a_branch_of_its_name(repository: Repository) -> None:
    tagged = repository.files({"a.py": b"x = 1\n"})
    repository.files({"a.py": b"x = 2\n"}, branch="both")
    repository.git("tag", "both", tagged)
    assert GitRepository(repository.source("both")).revision == tagged


@pytest.mark.parametrize("revision", ["nothing", "HEADS", SHA, SHA[:8]])
def test_a_revision_that_is_not_there_is_bad_input(repository: Repository, revision: str) -> None:
    repository.files({"a.py": b"x = 1\n"})
    with pytest.raises(BadInput, match=r"no such revision|no branch or tag"):
        read(repository.source(revision))


def test_a_tag_of_a_tree_is_no_revision(repository: Repository) -> None:
    commit = repository.files({"a.py": b"x = 1\n"})
    repository.git("tag", "tree", f"{commit}^{{tree}}")
    with pytest.raises(WorkbenchError, match="commit"):
        read(repository.source("tree"))


def test_documents_come_in_the_order_of_their_paths_with_licences(repository: Repository) -> None:
    repository.files(
        {
            "LICENSE": MIT.encode(),
            "b/z.java": b"class Z {}\n",
            "b.py": b"# SPDX-License-Identifier: BSD-3-Clause\nx = 1\n",
            "a-b/x.py": b"x = 1\n",
            "a.py": "é = 1\n".encode(),
            "a/x.ipynb": b'{"cells": [{"cell_type": "code", "source": "y = 2"}]}',
        }
    )
    documents = list(GitRepository(repository.source()).crawl())
    paths = [document.path for document in documents]
    assert (
        paths == sorted(paths) == ["LICENSE", "a-b/x.py", "a.py", "a/x.ipynb", "b.py", "b/z.java"]
    )
    by_path = {document.path: document for document in documents}
    assert by_path["a/x.ipynb"].text == "# %%\ny = 2\n"
    assert by_path["a/x.ipynb"].language == "python"
    assert by_path["b.py"].license == "BSD-3-Clause"
    assert {by_path[path].license for path in paths if path != "b.py"} == {"Apache-2.0"}


def test_a_folder_is_read_alone_under_its_full_paths_and_the_licence_above(
    repository: Repository,
) -> None:
    repository.files(
        {
            "LICENSE": MIT.encode(),
            "src/.hidden/a.py": b"x = 1\n",
            "src/.hidden/.more.py": b"x = 1\n",
            "src2/a.py": b"x = 1\n",
        }
    )
    crawler = GitRepository(repository.source(subdir="src/.hidden"))
    (document,) = crawler.crawl()
    assert document.path == "src/.hidden/a.py"
    assert document.license == "Apache-2.0"
    assert document.source == f"git:{repository.folder}#src/.hidden"
    assert crawler.skipped == {"hidden": 1}
    with pytest.raises(BadInput, match="no folder 'sr'"):
        read(repository.source(subdir="sr"))


def test_a_corpus_of_a_repository_is_crawled_again_without_its_origin(
    repository: Repository,
) -> None:
    commit = repository.files({"a.py": b"x = 1\n"})
    first = crawl("mine", [f"git:{repository.source(commit)}"])
    assert crawl("mine").unchanged
    assert first.sources == ((f"git:{repository.folder}", commit),)


# --- the clone on disk -----------------------------------------------------------------


def test_a_commit_that_is_here_needs_no_server(repository: Repository) -> None:
    commit = repository.files({"a.py": b"x = 1\n"})
    first = read(repository.source(commit))
    for path in sorted(repository.folder.rglob("*"), reverse=True):
        if path.is_file():
            path.unlink()
    assert read(repository.source(commit)) == first


def test_offline_says_so(monkeypatch: pytest.MonkeyPatch, no_process: None) -> None:
    monkeypatch.setenv("WORKBENCH_OFFLINE", "1")
    for revision in ("main", SHA):
        with pytest.raises(WorkbenchError, match=r"the workbench is offline\. .*WORKBENCH_OFFLINE"):
            list(GitRepository(f"https://u:{SECRET}@host.invalid/a@{revision}").crawl())


def damage(clone: Path, how: str) -> None:
    (pack,) = (clone / "objects" / "pack").glob("*.pack")
    pack.chmod(0o644)
    data = bytearray(pack.read_bytes())
    if how == "cut":
        pack.write_bytes(data[: len(data) // 2])
    elif how == "flipped":
        for index in range(len(data) // 3, len(data) // 3 + 400):
            data[index] ^= 0xFF
        pack.write_bytes(data)
    elif how == "gone":
        pack.unlink()
    else:
        shutil.rmtree(clone / "refs")
        (clone / "HEAD").unlink()


@pytest.mark.parametrize("how", ["cut", "flipped", "gone", "emptied"])
def test_a_damaged_clone_is_fetched_anew(repository: Repository, home: Path, how: str) -> None:
    files = {f"f{number}.py": os.urandom(200).hex().encode() for number in range(200)}
    commit = repository.files(files)
    whole = read(repository.source(commit))
    assert len(whole[0]) == 200
    (clone,) = (home / "clones").glob(f"*/{commit}")
    damage(clone, how)
    assert read(repository.source(commit)) == whole


def test_a_clone_that_breaks_while_it_is_read_loses_and_doubles_nothing(
    repository: Repository, home: Path
) -> None:
    files = {f"f{number:03}.py": os.urandom(40_000).hex().encode() for number in range(30)}
    commit = repository.files(files)
    crawler = GitRepository(repository.source(commit))
    documents = crawler.crawl()
    paths = [next(documents).path for _ in range(5)]
    (clone,) = (home / "clones").glob(f"*/{commit}")
    # What git has mapped stays readable when unlinked; overwritten it is another.
    (pack,) = (clone / "objects" / "pack").glob("*.pack")
    pack.chmod(0o644)
    with pack.open("r+b") as file:
        file.seek(5_000)
        file.write(os.urandom(pack.stat().st_size - 5_000))
    paths += [document.path for document in documents]
    assert paths == sorted(files)


def test_a_fetch_that_is_killed_leaves_nothing_that_counts(
    repository: Repository, home: Path
) -> None:
    commit = repository.files({f"f{n}.py": os.urandom(2_000).hex().encode() for n in range(500)})
    code = (
        "import os, sys\n"
        "from workbench.corpus import clones\n"
        "clones.kind_of = lambda *_: os.kill(os.getpid(), 9)\n"  # fetched, and not yet named
        "from workbench.corpus.git import GitRepository\n"
        "list(GitRepository(sys.argv[1]).crawl())\n"
    )
    done = subprocess.run([sys.executable, "-c", code, repository.source(commit)], check=False)
    assert done.returncode == -9
    (folder,) = (home / "clones").iterdir()
    assert next(path.name for path in folder.iterdir() if path.is_dir()).startswith("part-")
    assert len(read(repository.source(commit))[0]) == 500
    assert [path.name for path in folder.iterdir() if path.is_dir()] == [commit]


def test_two_processes_share_one_clone(repository: Repository, home: Path) -> None:
    commit = repository.files({f"f{n}.py": os.urandom(2_000).hex().encode() for n in range(300)})
    code = (
        "import sys\nfrom workbench.corpus.git import GitRepository\n"
        "print(len(list(GitRepository(sys.argv[1]).crawl())))\n"
    )
    children = [
        subprocess.Popen(
            [sys.executable, "-c", code, repository.source(commit)], stdout=subprocess.PIPE
        )
        for _ in range(2)
    ]
    assert [child.communicate()[0] for child in children] == [b"300\n"] * 2
    assert len(list((home / "clones").glob(f"*/{commit}"))) == 1


def test_a_clone_that_never_comes_names_who_fetches_it(repository: Repository, home: Path) -> None:
    commit = repository.files({"a.py": b"x = 1\n"})
    folder = home / "clones" / parse_address(repository.source(commit)).digest
    with (
        exclusive(folder, "held"),
        pytest.raises(InUse, match=f"is being fetched by process {os.getpid()}"),
    ):
        read(repository.source(commit), seconds=0.3)


def test_a_server_that_gives_only_branches_is_fetched_whole(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = repository.files({"a.py": b"old = 1\n"})
    tree = repository.git("rev-parse", f"{old}^{{tree}}").strip()
    new = repository.git("commit-tree", tree, "-p", old, "-m", "next").strip()
    repository.git("update-ref", "refs/heads/main", new)
    config = tuple(
        ("protocol.version", "0") if k == "protocol.version" else (k, v) for k, v in clones._CONFIG
    )
    monkeypatch.setattr(clones, "_CONFIG", config)
    assert read(repository.source(old))[0] == {"a.py": "old = 1\n"}


# --- caps ------------------------------------------------------------------------------


def test_a_fetch_stops_at_the_cap_on_bytes(repository: Repository, home: Path) -> None:
    commit = repository.files({"big.bin": os.urandom(5_000_000)})
    with pytest.raises(WorkbenchError, match="is larger than 1,000,000 bytes"):
        read(repository.source(commit), bytes=1_000_000)
    assert not [path for path in (home / "clones").glob("*/*") if path.is_dir()]


@pytest.fixture
def slow_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A git that hangs in a child of its own, and notes the child's id."""
    folder = tmp_path / "bin"
    folder.mkdir()
    note = tmp_path / "pid"
    program = folder / "git"
    program.write_text(f"#!/bin/sh\n/bin/sleep 300 &\necho $! > {note}\nwait\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    return note


def is_dead(pid: int) -> bool:
    """Say whether a process is gone, or a zombie, that was killed and has five seconds to die."""
    for _ in range(100):
        try:
            if "Z" in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]:
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.05)
    return False


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_a_fetch_that_hangs_is_killed_with_its_children(slow_git: Path) -> None:
    start = time.monotonic()
    with pytest.raises(WorkbenchError, match=r"did not arrive within 0\.5 seconds"):
        read("https://host.invalid/a@main", seconds=0.5)
    assert time.monotonic() - start < 3
    assert is_dead(int(slow_git.read_text()))


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_a_fetch_that_nobody_waits_for_ends_within_two_seconds(slow_git: Path) -> None:
    event = threading.Event()
    threading.Timer(0.3, event.set).start()
    start = time.monotonic()
    with cancelled_by(event), pytest.raises(Cancelled):
        GitRepository("https://host.invalid/a@main")
    assert time.monotonic() - start < 2
    assert is_dead(int(slow_git.read_text()))


# --- passwords -------------------------------------------------------------------------


@pytest.fixture
def spying_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], str]]:
    """A git that notes its arguments, asks its helper for the password, and fails with the URL."""
    folder = tmp_path / "bin"
    folder.mkdir()
    note = tmp_path / "note"
    real = shutil.which("git")
    program = folder / "git"
    program.write_text(
        f'#!/bin/sh\necho "ARGS $*" >> {note}\nprintf "protocol=https\\nhost=host.invalid\\n\\n" '
        f"| {real} credential fill >> {note}\n"
        f'printf "protocol=https\\nhost=other.invalid\\n\\n" '
        f"| {real} credential fill >> {note} 2>&1\n"
        f'echo "fatal: Authentication failed for https://u:{SECRET}@host.invalid/a {SECRET}" >&2\n'
        "exit 128\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    yield note.read_text


def test_a_password_reaches_the_one_host_and_nothing_else(
    spying_git: Callable[[], str], home: Path
) -> None:
    with pytest.raises(WorkbenchError, match="Authentication failed") as caught:
        crawl("mine", [f"git:https://u:{SECRET}@host.invalid/a@main"])
    told = spying_git()
    arguments, _, rest = told.partition("\n")
    assert SECRET not in arguments
    assert f"username=u\npassword={SECRET}\n" in rest
    assert told.count(SECRET) == 1  # the other host got none
    error: BaseException | None = caught.value
    while error is not None:
        assert SECRET not in str(error)
        error = error.__cause__ or error.__context__
    for path in home.rglob("*"):
        assert not path.is_file() or SECRET.encode() not in path.read_bytes()
    assert SECRET not in str(parse_source(f"git:https://u:{SECRET}@host.invalid/a@main"))


# --- hostile repositories --------------------------------------------------------------


def test_unsafe_paths_are_counted_and_nothing_is_written(
    repository: Repository, tmp_path: Path
) -> None:
    file = repository.file
    up = repository.tree(file(b"evil.py"))
    names = [b"/abs.py", b"C:\\x.py", b"a\\b.py", b"bell\x07.py", b"line\nend.py", b"..", b"."]
    names += [b"n" * 2_000 + b".py", b"x/../../y.py", b"\x7f.py", b"C:x.py"]
    entries = sorted(
        [*map(file, names), file(b"good.py"), ("40000", b"...", up)], key=lambda e: e[1]
    )
    entries += [("40000", b"..", up), ("40000", b".git", up), ("40000", b"z", up)]
    bad = [("100644", b"\xff\xfe.py", file(b"x")[2])]
    repository.commit(repository.tree(*entries, *bad))
    before = everything_below(tmp_path)
    texts, skipped = read(repository.source())
    assert set(texts) <= {"good.py", "z/evil.py"}
    assert "good.py" in texts
    assert skipped["unsafe path"] >= len(names)
    assert skipped["undecodable name"] == 1
    assert len(texts) + sum(skipped.values()) == len(names) + 1 + 4 + 1
    new = everything_below(tmp_path) - before
    assert all(path.startswith(str(tmp_path / "home")) for path in new)


def test_links_and_submodules_are_counted_and_not_followed(
    repository: Repository, tmp_path: Path
) -> None:
    (tmp_path / "secret.py").write_text("password = 1\n")
    link = repository.object("blob", str(tmp_path / "secret.py").encode())
    modules = b'[submodule "m"]\n\tpath = m\n\turl = ext::sh -c "touch pwned"\n'
    repository.commit(
        repository.tree(
            repository.file(b".gitmodules", modules),
            ("120000", b"a.py", link),
            ("160000", b"m", SHA),
            repository.file(b"z.py"),
        )
    )
    texts, skipped = read(repository.source())
    assert texts == {"z.py": "x = 1\n"}
    assert skipped == {"hidden": 1, "link": 1, "submodule": 1}


def test_hooks_configuration_and_filters_of_a_repository_never_run(
    repository: Repository, tmp_path: Path
) -> None:
    flag = tmp_path / "pwned"
    script = tmp_path / "evil.sh"
    script.write_text(f"#!/bin/sh\ntouch {flag}\n")
    script.chmod(0o755)
    repository.files(
        {
            ".gitattributes": b"* filter=evil diff=evil\n",
            "a.py": b"x = 1\n",
            "hooks/post-checkout": script.read_bytes(),
        }
    )
    for key in (
        *("core.fsmonitor", "core.sshCommand", "core.pager", "core.editor", "core.askPass"),
        *("uploadpack.packObjectsHook", "filter.evil.smudge", "filter.evil.process"),
        *("diff.evil.textconv", "core.alternateRefsCommand", "credential.helper", "alias.ls-tree"),
    ):
        repository.git("config", key, str(script))
    repository.git("config", "protocol.ext.allow", "always")
    repository.git("config", "remote.x.url", f"ext::{script}")
    repository.git("config", "remote.x.promisor", "true")
    repository.git("config", "extensions.partialClone", "x")
    hooks = repository.folder / "hooks"
    for hook in ("post-checkout", "pre-receive", "reference-transaction", "post-index-change"):
        shutil.copy(script, hooks / hook)
    texts, _ = read(repository.source())
    assert texts["a.py"] == "x = 1\n"
    assert not flag.exists()


def test_the_configuration_of_the_user_does_not_count(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flag = tmp_path / "pwned"
    user = tmp_path / "user"
    (user / "hooks").mkdir(parents=True)
    hook = user / "hooks" / "reference-transaction"
    hook.write_text(f"#!/bin/sh\ntouch {flag}\n")
    hook.chmod(0o755)
    (user / ".gitconfig").write_text(
        f'[core]\n\thooksPath = {user}/hooks\n[url "ext::touch {flag} "]\n\tinsteadOf = file:///\n'
        f'[uploadpack]\n\tpackObjectsHook = touch {flag};\n[protocol "ext"]\n\tallow = always\n'
    )
    monkeypatch.setenv("HOME", str(user))
    monkeypatch.setenv("GIT_DIR", str(tmp_path))
    monkeypatch.setenv("GIT_EXEC_PATH", str(user))
    monkeypatch.setenv("GIT_TRACE", str(flag))
    repository.files({"a.py": b"x = 1\n"})
    assert read(repository.source())[0] == {"a.py": "x = 1\n"}
    assert not flag.exists()


def test_a_repository_that_lacks_objects_fails_in_one_line(repository: Repository) -> None:
    missing = repository.tree(("100644", b"a.py", SHA), repository.file(b"b.py"))
    repository.commit(missing)
    with pytest.raises(WorkbenchError, match="cannot be read by git") as caught:
        read(repository.source())
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 700


def test_a_name_that_stands_twice_is_read_once(repository: Repository) -> None:
    one, two = repository.file(b"a.py", b"x = 1\n"), repository.file(b"a.py", b"x = 2\n")
    repository.commit(repository.tree(one, two, repository.file(b"b.py")))
    texts, skipped = read(repository.source())
    assert texts == {"a.py": "x = 1\n", "b.py": "x = 1\n"}
    assert skipped == {"malformed tree": 1}


def test_large_files_and_pointers_are_not_read(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{SHA}\nsize 12\n"
    repository.files(
        {
            "big.py": b"x" * (MAX_BYTES + 1),
            "fits.py": b"x" * MAX_BYTES,
            "big.ipynb": b" " * 11_000_000,
            "pointer.py": pointer.encode(),
        }
    )
    asked: list[int] = []
    blob = clones.Objects.blob

    def note(self: clones.Objects, entry: clones.TreeEntry) -> bytes:
        asked.append(entry.size)
        return blob(self, entry)

    monkeypatch.setattr(clones.Objects, "blob", note)
    texts, skipped = read(repository.source())
    assert set(texts) == {"fits.py"}
    assert skipped == {"too large": 2, "pointer to Git LFS": 1}
    assert max(asked) == MAX_BYTES


def test_a_tree_that_names_itself_a_million_times_comes_to_an_end(repository: Repository) -> None:
    entry = repository.file(b"x.py", b"")
    for _ in range(7):
        mode, _, oid = entry
        width = [(mode, b"%d.py" % n if mode == "100644" else b"d%d" % n, oid) for n in range(10)]
        entry = ("40000", b"d", repository.tree(*width))
    repository.commit(entry[2])
    start = time.monotonic()
    texts, skipped = read(repository.source(), seconds=1.0)
    assert time.monotonic() - start < 6
    assert texts == {}
    assert skipped["beyond the cap of 1 seconds"] == 1


@pytest.mark.skipif(sys.platform != "linux", reason="measures a child's memory in /proc")
def test_thousands_of_files_are_read_in_flat_memory(repository: Repository) -> None:
    body = b"x = 1\n" * 4_000
    repository.files({f"d{n % 50}/f{n}.py": b"n = %d\n" % n + body for n in range(2_000)})
    # The peak is not ru_maxrss, which a child inherits from its parent.
    code = (
        "import sys\nfrom pathlib import Path\nfrom workbench.corpus.git import GitRepository\n"
        "status = Path('/proc/self/status')\n"
        "peak = lambda: int(status.read_text().split('VmHWM:')[1].split()[0]) // 1024\n"
        "crawler = GitRepository(sys.argv[1])\nbefore = peak()\n"
        "print(sum(1 for _ in crawler.crawl()), peak() - before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, repository.source()], check=True, capture_output=True
    )
    count, megabytes = map(int, done.stdout.split())
    assert count == 2_000
    assert megabytes < 40  # the texts alone are 48


def test_closing_a_crawl_ends_its_processes(repository: Repository) -> None:
    repository.files({f"f{n}.py": b"x = %d\n" % n for n in range(3_000)})
    started: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen.__init__

    def note(self: subprocess.Popen[bytes], *arguments: object, **options: object) -> None:
        started.append(self)
        popen(self, *arguments, **options)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess.Popen, "__init__", note)
        documents = GitRepository(repository.source()).crawl()
        next(documents)
        documents.close()  # type: ignore[attr-defined]
    assert len(started) >= 4
    assert all(process.poll() is not None for process in started)
