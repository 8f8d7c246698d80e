"""Crawl one column of a data set: of the hub, streamed, or of a file."""

from __future__ import annotations

import difflib
import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.cancel import cancelled
from workbench.corpus.caps import DEFAULT_CAPS, Caps
from workbench.corpus.document_files import digest_of
from workbench.corpus.entries import Skip, check_path, make_document, read_text
from workbench.corpus.licences import canonical_licence
from workbench.corpus.tables import ENDINGS, Row, is_table, read_rows
from workbench.errors import BadInput, MissingExtra, WorkbenchError
from workbench.languages import Language, find_language
from workbench.languages import language as language_called
from workbench.settings import settings
from workbench.types import Document

if TYPE_CHECKING:
    from huggingface_hub import DatasetInfo

# Columns that say more of a row than its text, as public data sets of code call them.
PATHS = ("path", "file_path", "filepath", "filename", "file_name", "max_stars_repo_path")
REPOSITORIES = ("repo", "repo_name", "repository", "repository_name", "max_stars_repo_name")
LANGUAGES = ("language", "lang", "programming_language")
LICENSES = ("license", "licenses", "max_stars_repo_licenses")

TIMEOUT_SECONDS = 10.0
_FORM = "hf:DATASET[/CONFIG][@REV]:SPLIT#FIELD, or hf:FILE.jsonl#FIELD"
_PART = r"[\w.-]+"
_ON_HUB = re.compile(
    rf"(?P<repo>{_PART}(?:/{_PART})?)(?:/(?P<config>{_PART}))?(?:@(?P<revision>[\w./-]+))?"
    rf":(?P<split>{_PART})"
)


@dataclass(frozen=True, slots=True)
class Place:
    """What stands behind ``hf:``: a file, or a split of a data set of the hub; and the field.

    ``language`` and ``license`` hold for rows that do not say theirs.
    """

    field: str
    file: Path | None = None
    repo: str = ""
    config: str | None = None
    split: str = ""
    revision: str | None = None
    language: str | None = None
    license: str | None = None

    @property
    def source(self) -> str:
        """The source string, without the revision, and with the path of a file absolute."""
        at = self.file.as_posix() if self.file else self.repo
        if not self.file:
            at += f"/{self.config}" if self.config else ""
            at += f":{self.split}"
        options = {"language": self.language, "license": self.license}
        told = "".join(f"&{key}={value}" for key, value in options.items() if value)
        return f"hf:{at}#{self.field}{told}"


def parse_place(argument: str) -> Place:
    """Read ``DATASET[/CONFIG][@REV]:SPLIT#FIELD`` or ``FILE#FIELD``.

    Behind the field may stand ``&language=NAME`` and ``&license=SPDX``.

    Raises:
        BadInput: it has another form.
    """
    where, _, told = argument.rpartition("#")
    column, *options = told.split("&")
    if not where or not column.strip():
        raise BadInput(f"The data set 'hf:{argument}' lacks a field.", f"Write {_FORM}.")
    given = dict(option.partition("=")[::2] for option in options)
    if wrong := sorted(given.keys() - {"language", "license"}):
        raise BadInput(
            f"A data set has no option '{wrong[0]}'.", "Options are &language=NAME, &license=SPDX."
        )
    language = language_called(given["language"]).name if "language" in given else None
    license = _spdx(given["license"]) if "license" in given else None
    if "license" in given and license is None:
        raise BadInput(
            f"'{given['license']}' is no SPDX expression.", "Write one such as &license=MIT."
        )
    place = Place(column.strip(), language=language, license=license)
    if is_table(where):
        return replace(place, file=Path(where).expanduser().resolve())
    found = _ON_HUB.fullmatch(where)
    if found is None or ".." in where:
        if Path(where).expanduser().exists():
            raise BadInput(f"The file '{where}' has no rows.", f"Endings: {', '.join(ENDINGS)}.")
        raise BadInput(f"'hf:{argument}' names no data set.", f"Write {_FORM}.")
    repo, config, revision, split = found.group("repo", "config", "revision", "split")
    return replace(place, repo=repo, config=config, revision=revision, split=split)


class DataSet:
    """One column of a data set; each row is a document.

    Rows come in their order. A path is taken from a column that holds one, else it is
    ``row-000123`` with the ending of the row's language; a licence from a column, else from the
    card of the data set. Rows whose text is missing, is none, or cannot be used are counted in
    ``skipped``. No code that a data set brings is ever run.
    """

    def __init__(self, argument: str, *, caps: Caps = DEFAULT_CAPS) -> None:
        """Find the data set, and the commit that it is at.

        Raises:
            BadInput: the argument has another form, or there is no such data set or file.
            MissingExtra: the packages that stream from the hub are not installed.
            WorkbenchError: the hub cannot be reached, or may not be.
        """
        self._place = parse_place(argument)
        self._caps = caps
        self._license = self._place.license
        self.source = self._place.source
        self.skipped: Counter[str] = Counter()
        self.revision: str | None
        if self._place.file is not None:
            self.revision = _revision_of(self._place.file)
        else:
            info = _ask_hub(self._place)
            self.revision = info.sha
            card = info.card_data
            self._license = self._license or _spdx(card.get("license") if card else None)

    def crawl(self) -> Iterator[Document]:
        """Yield the rows as documents, in their order.

        Raises:
            BadInput: there is no such field.
            WorkbenchError: the stream broke off.
        """
        self.skipped.clear()
        seen: set[int] = set()
        is_first = True
        for number, row in enumerate(self._rows()):
            if cancelled():
                return
            try:
                if isinstance(row, Skip):
                    raise row
                if is_first:
                    self._check_field(row)
                    is_first = False
                document = self._document(number, row)
            except Skip as skip:
                self.skipped[str(skip)] += 1
                continue
            # Rows of many repositories share paths such as setup.py; a corpus' are unique.
            if (key := hash(document.path)) in seen:
                document = replace(document, path=f"row-{number:06}/{document.path}")
            seen.add(key)
            yield document

    def _rows(self) -> Iterator[Row | Skip]:
        wanted = {self._place.field, *PATHS, *REPOSITORIES, *LANGUAGES, *LICENSES}
        if self._place.file is not None:
            return read_rows(self._place.file, wanted, self._caps.bytes)
        return _stream(self._place, self.revision, wanted)

    def _check_field(self, row: Row) -> None:
        if self._place.field not in row:
            columns = sorted(row)
            near = difflib.get_close_matches(self._place.field, columns, n=1)
            raise BadInput(
                f"{self.source} has no field '{self._place.field}'.",
                f"Did you mean {near[0]}?" if near else f"Fields: {', '.join(columns)}.",
            )

    def _document(self, number: int, row: Row) -> Document:
        """Return a row as a document.

        Raises:
            Skip: it is none.
        """
        text = _text(row.get(self._place.field))
        language = find_language(_first(row, LANGUAGES) or self._place.language or "")
        path = _path(row) or f"row-{number:06}{language.endings[0] if language else '.txt'}"
        check_path(path)
        document = make_document(
            path,
            text,
            source=self.source,
            revision=self.revision,
            license=_license(row) or self._license,
        )
        return replace(document, language=_name(language) or document.language)


def _text(value: Any) -> str:
    """Return the text of a field.

    Raises:
        Skip: "missing", "not text", or a reason of ``read_text``.
    """
    if value is None:
        raise Skip("missing")
    if isinstance(value, str):
        value = value.encode("utf-8", "surrogatepass")
    if not isinstance(value, bytes):
        raise Skip("not text")
    # Under no name that is Python's: the text is decoded, whatever its coding cookie says.
    return read_text("row.txt", value)


def _path(row: Row) -> str | None:
    path, repository = _first(row, PATHS), _first(row, REPOSITORIES)
    if path is None:
        return None
    path = path.removeprefix("./")
    return f"{repository}/{path}" if repository else path


def _first(row: Row, columns: tuple[str, ...]) -> str | None:
    """Return the first of these columns that holds a text."""
    values = (row.get(column) for column in columns)
    return next((value for value in values if isinstance(value, str) and value.strip()), None)


def _license(row: Row) -> str | None:
    for column in LICENSES:
        if (license := _spdx(row.get(column))) is not None:
            return license
    return None


def _spdx(value: Any) -> str | None:
    """Return a licence, or a list of one, as an SPDX expression; None where it is none."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    return canonical_licence(value) if isinstance(value, str) else None


def _name(language: Language | None) -> str | None:
    return language.name if language else None


def _revision_of(file: Path) -> str:
    if not file.is_file():
        what = "is no file" if file.exists() else "does not exist"
        raise BadInput(f"The file '{file}' {what}.", f"Write {_FORM}.")
    digest = digest_of(file)
    if digest is None:
        raise BadInput(f"The file '{file}' may not be read.", f"Run: chmod u+r '{file}'")
    return digest


# --- the hub -----------------------------------------------------------------------------


def _ask_hub(place: Place) -> DatasetInfo:
    """Return what the hub knows of a data set: its commit and its card."""
    try:
        import datasets  # noqa: F401
        import httpx2
        from huggingface_hub import HfApi
        from huggingface_hub.errors import (
            GatedRepoError,
            HFValidationError,
            RepositoryNotFoundError,
            RevisionNotFoundError,
        )
    except ModuleNotFoundError as error:
        raise MissingExtra("A data set of the hub", "data") from error
    name = place.repo
    _check_online(name)
    try:
        return HfApi().dataset_info(name, revision=place.revision, timeout=TIMEOUT_SECONDS)
    except GatedRepoError as error:
        raise WorkbenchError(
            f"The data set {name} is gated.", "Accept its terms on the hub, and run: hf auth login"
        ) from error
    except RevisionNotFoundError as error:
        raise BadInput(f"The data set {name} has no revision '{place.revision}'.") from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise BadInput(
            f"The hub has no public data set '{name}'.",
            "Check its name; for a private one, run: hf auth login",
        ) from error
    except (OSError, httpx2.HTTPError) as error:
        raise _unreachable(name, error) from error


def _stream(place: Place, revision: str | None, wanted: set[str]) -> Iterator[Row]:
    """Yield the rows of a split as they come over the network."""
    import httpx2
    from datasets import load_dataset

    try:
        rows = load_dataset(
            place.repo, place.config, split=place.split, revision=revision, streaming=True
        )
        if rows.column_names is not None and place.field in rows.column_names:
            rows = rows.select_columns([name for name in rows.column_names if name in wanted])
        if rows.features is not None:
            rows = rows.decode(False)  # pictures and sounds stay bytes
        yield from rows
    except (OSError, httpx2.HTTPError) as error:
        raise _unreachable(place.repo, error) from error
    except (ValueError, RuntimeError, TypeError, KeyError) as error:
        # No such config or split, a script that would have to be run, or damaged files.
        raise BadInput(
            f"The data set {place.repo} cannot be read: {_first_line(error).rstrip('.')}.",
            f"Write {_FORM}.",
        ) from error


def _check_online(name: str) -> None:
    from huggingface_hub.constants import is_offline_mode

    switch = "WORKBENCH_OFFLINE" if settings().offline else "HF_HUB_OFFLINE"
    if settings().offline or is_offline_mode() or os.environ.get("HF_HUB_OFFLINE") == "1":
        raise WorkbenchError(
            f"The data set {name} is on the hub, and {switch} is set.",
            "Unset it, or download a file and give it: hf:FILE.jsonl#FIELD",
        )


def _unreachable(name: str, error: Exception) -> WorkbenchError:
    return WorkbenchError(
        f"The hub does not give the data set {name} ({_first_line(error)}).",
        "Check the network and try again, or give a local file: hf:FILE.jsonl#FIELD",
    )


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).strip().splitlines()[0][:300]
