"""The Corpora tab: what is crawled and indexed here, and how to crawl, index and search."""

from __future__ import annotations

import html
import logging
import shlex
import time
from typing import TYPE_CHECKING, Any

import gradio as gr

from workbench import api
from workbench.corpus import CHUNKERS, DEFAULT_CHUNKER, list_corpora
from workbench.corpus.filters import FILTERS
from workbench.doctor import menu
from workbench.errors import BadInput, WorkbenchError
from workbench.progress import heard_by
from workbench.report import hits_html
from workbench.retrieval import DEFAULT_EMBEDDER, list_indexes
from workbench.ui import choices

if TYPE_CHECKING:
    from collections.abc import Callable

    from workbench.corpus import Corpus
    from workbench.retrieval import IndexInfo
    from workbench.ui.compare import CompareTab
    from workbench.ui.retrieval import RetrievalTab

log = logging.getLogger(__name__)

# Gradio hands a handler that has this as a default the bar of its own event.
_BAR = gr.Progress()


class CorporaTab:
    """The parts of the tab and what happens to them. Build it inside ``gr.Blocks``."""

    def __init__(self) -> None:
        self.table = gr.HTML(table_html(), elem_id="corpora-table")
        self.notice = gr.HTML(elem_id="corpora-notice")
        self.report = gr.HTML(elem_id="corpora-report")
        with gr.Row(elem_id="building"):
            self._build_crawl()
            self._build_index()
        self._build_search()

    # --- layout ------------------------------------------------------------------------

    def _build_crawl(self) -> None:
        manifests = choices.manifests()
        with gr.Column(min_width=300):
            gr.Markdown("### Crawl\nRead code into a corpus.")
            self.name = gr.Dropdown(
                manifests,
                value=manifests[0] if manifests else None,
                label="Corpus",
                info="A manifest, or a name of your own with sources below.",
                allow_custom_value=True,
            )
            self.sources = gr.Textbox(
                label="Sources",
                info="Empty for a manifest. Several are parted by spaces.",
                placeholder="folder:PATH   git:URL@REV#SUBDIR   pypi:NAME==VERSION   hf:DATASET",
            )
            self.no_filter = gr.Dropdown(
                [(f"{entry.name}: {entry.summary}", entry.name) for entry in FILTERS],
                value=[],
                multiselect=True,
                label="Filters to leave out",
                info="All are on unless named here.",
            )
            self.crawl = gr.Button("Crawl", elem_id="crawl", size="md")

    def _build_index(self) -> None:
        with gr.Column(min_width=300):
            gr.Markdown("### Index\nCut a corpus into chunks and embed them.")
            self.corpus = gr.Dropdown(_corpora(), value=_first(_corpora()), label="Corpus")
            self.embedder = gr.Dropdown(
                choices.embedders(menu()),
                value=DEFAULT_EMBEDDER,
                label="Embedder",
                allow_custom_value=True,
            )
            self.chunker = gr.Dropdown(
                [entry.name for entry in CHUNKERS], value=DEFAULT_CHUNKER, label="Chunker"
            )
            self.index = gr.Button("Index", elem_id="index", size="md")

    def _build_search(self) -> None:
        gr.Markdown("### Search")
        with gr.Row(elem_id="searching"):
            self.query = gr.Textbox(
                label="Query", placeholder="parse a date", scale=4, min_width=240, elem_id="query"
            )
            indexes = choices.indexes()[1:]
            self.searched = gr.Dropdown(
                indexes,
                value=indexes[0][1] if indexes else None,
                label="In",
                scale=2,
                min_width=160,
            )
            self.retriever = gr.Dropdown(
                choices.retrievers(), value="", label="Retriever", min_width=150
            )
            self.k = gr.Number(5, label="Hits", precision=0, minimum=1, min_width=70)
            self.language = gr.Dropdown(
                [("any", ""), *choices.languages()], value="", label="Language", min_width=110
            )
            self.path = gr.Textbox(
                label="Path", placeholder="any, or json/*", min_width=110, elem_id="path"
            )
            self.search = gr.Button("Search", variant="primary", elem_id="search", size="md")
        self.hits = gr.HTML(elem_id="hits")

    def wire(self, compare: CompareTab, lab: RetrievalTab) -> None:
        """Connect the buttons; a new index is at once offered in the other tabs."""

        def refresh(index: str | None) -> list[Any]:
            return [*self.refresh(), *compare.refresh(index), *lab.refresh()]

        hidden: dict[str, Any] = {"api_visibility": "private", "show_progress_on": self.notice}
        # One at a time: a second crawl or index would only fight for the same disk and cores.
        building: dict[str, Any] = {"concurrency_limit": 1, "concurrency_id": "building"}
        crawling = self.crawl.click(
            self.do_crawl,
            [self.name, self.sources, self.no_filter],
            [self.notice, self.report],
            **hidden,
            **building,
        )
        indexing = self.index.click(
            self.do_index,
            [self.corpus, self.embedder, self.chunker],
            self.notice,
            **hidden,
            **building,
        )
        for done in (crawling, indexing):
            done.then(
                refresh,
                compare.index,
                [*self.refreshed, *compare.refreshed, *lab.refreshed],
                show_progress="hidden",
                api_visibility="private",
            )
        gr.on(
            [self.search.click, self.query.submit],
            self.do_search,
            [self.query, self.searched, self.retriever, self.k, self.language, self.path],
            [self.notice, self.hits],
            api_visibility="private",
            show_progress_on=self.hits,
        )

    # --- what happens ------------------------------------------------------------------

    def do_crawl(
        self,
        name: str,
        sources: str,
        no_filter: list[str] | None = None,
        progress: gr.Progress = _BAR,
    ) -> tuple[str, str]:
        """Crawl, and say in one line what came of it, and in tables what was read and left out."""
        told = ""

        def work() -> str:
            nonlocal told
            named = shlex.split(sources or "")
            report = api.crawl((name or "").strip(), *named, without=no_filter or None).report()
            told = f"<div class='wb wb-report'>{report._repr_html_()}</div>"
            return f"{name}: {report.read:,} files read, {report.seen - report.read:,} left out."

        return _in_one_line(work, progress), told

    def do_index(
        self,
        corpus: str,
        embedder: str,
        chunker: str,
        progress: gr.Progress = _BAR,
    ) -> str:
        """Index, and say in one line what came of it."""
        if not corpus:
            return choices.problem_html(BadInput("There is no corpus.", "Crawl one first."))
        return _in_one_line(lambda: str(api.index(corpus, embedder, chunker).info), progress)

    def do_search(
        self,
        query: str,
        index: str,
        retriever: str,
        k: float,
        language: str = "",
        path: str = "",
    ) -> tuple[str, Any]:
        """Search an index; return what is wrong, and the hits."""
        try:
            named = choices.split_index(index)
            if named is None:
                raise BadInput("There is no index to search in.", "Build one above.")
            corpus, chunker, embedder = named
            hits = api.search(
                corpus,
                query,
                k=int(k),
                retriever=retriever or None,
                embedder=embedder,
                chunker=chunker,
                languages=[language] if language else (),
                paths=[path.strip()] if (path or "").strip() else (),
            )
        except WorkbenchError as error:
            return choices.problem_html(error), gr.skip()
        return "", hits_html(hits)

    def refresh(self) -> list[Any]:
        """Return what may have changed since the page was built; see ``refreshed``."""
        corpora, indexes = _corpora(), choices.indexes()[1:]
        return [
            table_html(),
            gr.update(choices=corpora, value=_first(corpora)),
            gr.update(choices=indexes, value=indexes[0][1] if indexes else None),
        ]

    @property
    def refreshed(self) -> list[Any]:
        """The parts that ``refresh`` updates."""
        return [self.table, self.corpus, self.searched]


def table_html() -> str:
    """Return the corpora with their indexes as a table."""
    corpora = list_corpora()
    if not corpora:
        return choices.notice_html(["Nothing is crawled yet. Begin with Crawl."], "wb-missing")
    infos = list_indexes()
    rows = []
    for corpus in corpora:
        first = [corpus.name, f"{len(corpus):,}", corpus.created[:10]]
        own = [_index_cells(info, corpus) for info in infos if info.corpus == corpus.name]
        rows += [_row([*first, *cells]) for cells in own or [["not indexed", "", "", ""]]]
    heads = ("Corpus", "Documents", "Crawled", "Index", "Chunks", "Built", "Size")
    head = "".join(f"<th>{one}</th>" for one in heads)
    return (
        f"<div class='wb wb-table'><table><thead><tr>{head}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _index_cells(info: IndexInfo, corpus: Corpus) -> list[str]:
    stale = "" if info.corpus_digest == corpus.digest else " (out of date: index again)"
    name = f"{info.embedder}, {choices.chunker_of(info) or 'an older chunker'}"
    return [
        name + stale,
        f"{info.chunks:,}",
        info.built[:10],
        f"{info.bytes / 1e6:,.1f} MB",
    ]


def _row(cells: list[str]) -> str:
    return f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in cells)}</tr>"


def _in_one_line(work: Callable[[], str], progress: gr.Progress) -> str:
    """Do the work behind a bar; return what came of it, or what is wrong."""
    try:
        with heard_by(_on_page(progress)):
            return choices.notice_html([html.escape(work())], "wb-done")
    except (WorkbenchError, ValueError) as error:  # shlex complains with a ValueError
        return choices.problem_html(error)
    except Exception as error:
        log.exception("crawling or indexing broke")
        return choices.problem_html(f"{type(error).__name__}: {error} (see the log)")


def _on_page(progress: gr.Progress) -> Callable[[float, float | None, str, str], None]:
    """Return a listener for the page's one bar: of two at once, that which knows its end."""
    last = 0.0

    def listen(done: float, total: float | None, what: str, unit: str) -> None:
        nonlocal last
        now = time.monotonic()
        if total:
            last = now
            progress(done / total, desc=f"{what}: {done:,.0f} of {total:,.0f}")
        elif now - last > 2:
            progress((int(done), None), desc=what, unit=unit)

    return listen


def _corpora() -> list[str]:
    return [corpus.name for corpus in list_corpora()]


def _first(names: list[str]) -> str | None:
    return names[0] if names else None
