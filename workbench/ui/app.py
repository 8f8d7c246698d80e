"""The page as a whole, and the server that hands it out."""

from __future__ import annotations

import errno
import ipaddress
import os
import secrets
import socket
from pathlib import Path
from typing import Any

from workbench.errors import BadInput
from workbench.settings import settings

# Both before gradio is imported: it reads them at import, and nothing is to leave this machine.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

import gradio as gr

from workbench.report import style
from workbench.ui.compare import CompareTab
from workbench.ui.corpora import CorporaTab
from workbench.ui.cost import CostTab
from workbench.ui.evaluate import EvaluateTab
from workbench.ui.models import ModelsTab
from workbench.ui.results import ResultsTab
from workbench.ui.retrieval import RetrievalTab

_HERE = Path(__file__).parent
_HEADER = """
<header class="wb wb-top">
<div><h1>Code workbench</h1>
<p>Ask several code models the same thing, and see their answers side by side.</p></div>
<button type="button" data-wb-theme aria-label="Change between light and dark">Light / dark</button>
</header>
"""


def build() -> gr.Blocks:
    """Return the page. What is here now is offered at once, and again at every visit."""
    page: gr.Blocks = gr.Blocks(
        title="Code workbench", analytics_enabled=False, delete_cache=(3600, 86400)
    )
    with page:
        gr.HTML(style() + _HEADER)
        with gr.Tab("Compare", elem_id="tab-compare"):
            compare = CompareTab()
        with gr.Tab("Corpora", elem_id="tab-corpora"):
            corpora = CorporaTab()
        with gr.Tab("Retrieval", elem_id="tab-retrieval"):
            lab = RetrievalTab()
        with gr.Tab("Evaluate", elem_id="tab-evaluate") as evaluate_tab:
            evaluate = EvaluateTab()
        with gr.Tab("Results", elem_id="tab-results") as results_tab:
            results = ResultsTab()
        with gr.Tab("Models", elem_id="tab-models") as models_tab:
            models = ModelsTab()
        with gr.Tab("Cost", elem_id="tab-cost") as cost_tab:
            cost = CostTab()
        corpora.wire(compare, lab)
        # What is in memory, and which runs are stored, changes with each question asked elsewhere.
        changing = ((models_tab, models), (cost_tab, cost), (evaluate_tab, evaluate))
        evaluate.watch_on(evaluate_tab)
        results_tab.select(
            results.refresh,
            [evaluate.done, *results.chosen],
            [evaluate.done, *results.refreshed],
            show_progress="hidden",
            api_visibility="private",
        )
        for tab, parts in changing:
            tab.select(
                parts.refresh,
                None,
                parts.refreshed,
                show_progress="hidden",
                api_visibility="private",
            )
        others = (corpora, lab)
        page.load(
            lambda index: [
                *compare.refresh(index),
                *(new for tab in others for new in tab.refresh()),
            ],
            compare.index,
            [*compare.refreshed, *(part for tab in others for part in tab.refreshed)],
            show_progress="hidden",
            api_visibility="private",
        )
    page.queue(api_open=False, default_concurrency_limit=8)
    return page


def serve(host: str, port: int, auth: str | None, share: bool) -> None:
    """Serve the page until it is interrupted; see ``workbench.ui.launch``."""
    check_port(host, port)
    pair = credentials(host, auth, share=share)
    _reach_itself_directly()
    page = build()
    _, local, public = page.launch(
        server_name=host,
        server_port=port,
        auth=pair,
        share=share,
        quiet=True,
        prevent_thread_lock=True,
        **appearance(),
    )
    print(f"The workbench is running at {public or local} (Ctrl+C stops it)", flush=True)
    page.block_thread()


def appearance() -> dict[str, Any]:
    """Return the options of ``launch`` that make the page look and behave as it does."""
    return {
        "theme": theme(),
        "css_paths": _HERE / "theme.css",
        "head": f"<script>{(_HERE / 'page.js').read_text(encoding='utf-8')}</script>",
        "footer_links": [],
        "run_history": False,
        "enable_monitoring": False,
        "ssr_mode": False,
        "mcp_server": False,
        "max_file_size": settings().max_upload_bytes,
    }


def theme() -> gr.themes.Base:
    """Return a calm theme of system fonts: nothing is loaded from elsewhere."""
    plain = gr.themes.Base(
        primary_hue="blue",
        neutral_hue="gray",
        radius_size="md",
        font=("ui-sans-serif", "system-ui", "sans-serif"),
        font_mono=("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace"),
    )
    # Frames around what is typed or read, none around those frames.
    return plain.set(
        body_background_fill="white",
        body_background_fill_dark="#0d1117",
        background_fill_primary="white",
        background_fill_primary_dark="#0d1117",
        block_background_fill="transparent",
        block_background_fill_dark="transparent",
        block_border_width="0px",
        block_border_width_dark="0px",
        block_padding="0px",
        border_color_primary="#d0d7de",
        border_color_primary_dark="#3d444d",
        input_background_fill="white",
        input_background_fill_dark="#151b23",
        input_border_width="1px",
        input_border_width_dark="1px",
        input_border_color="#d0d7de",
        input_border_color_dark="#3d444d",
        button_secondary_background_fill="#f3f4f6",
        button_secondary_background_fill_dark="#212830",
        checkbox_label_background_fill="#f3f4f6",
        checkbox_label_background_fill_dark="#212830",
    )


def check_port(host: str, port: int) -> None:
    """Find out whether the address is free; Gradio would look only after building the page.

    Raises:
        BadInput: the port is in use, or the address is not to be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        # As the server does it: a port that was left a moment ago is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                following = port + 1 if port < 65535 else port - 1
                raise BadInput(
                    f"Port {port} is in use.", f"Choose another: workbench ui --port {following}"
                ) from error
            raise BadInput(
                f"{host}:{port} cannot be listened on: {error.strerror or error}.",
                "Choose another: workbench ui --host 127.0.0.1 --port 7860",
            ) from error


def credentials(host: str, auth: str | None, *, share: bool) -> tuple[str, str] | None:
    """Return user and password; made up and printed where strangers could come without.

    Whoever opens the page can crawl folders of this machine and send requests from it.

    Raises:
        BadInput: ``auth`` is not ``USER:PASSWORD``.
    """
    if auth is not None:
        user, _, password = auth.partition(":")
        if not user or not password:
            raise BadInput(
                "Of --auth, user or password is missing.",
                "Write: workbench ui --auth USER:PASSWORD",
            )
        return user, password
    if not share and _is_loopback(host):
        return None
    password = secrets.token_urlsafe(12)
    print(f"Others can reach this page. User: workbench, password: {password}", flush=True)
    return "workbench", password


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _reach_itself_directly() -> None:
    """Keep Gradio's first request, to its own server, from going to a proxy."""
    for name in ("NO_PROXY", "no_proxy"):
        known = os.environ.get(name, "")
        os.environ[name] = ",".join(filter(None, (known, "127.0.0.1,localhost,::1")))
