"""The workbench in a browser: a Gradio page with a Compare tab and a Corpora tab."""

from __future__ import annotations


def launch(
    host: str = "127.0.0.1", port: int = 7860, auth: str | None = None, share: bool = False
) -> None:
    """Serve the page until it is interrupted.

    ``auth`` is ``USER:PASSWORD``. A page that other machines can reach asks for a password in any
    case: without ``auth`` one is made up and printed.

    Raises:
        BadInput: the port is in use, the address is not this machine's, or ``auth`` is malformed.
    """
    from workbench.ui.app import serve

    serve(host, port, auth, share)
