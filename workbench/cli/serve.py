"""The command that serves a local model to other programs."""

from __future__ import annotations

from typing import Annotated

import typer

from workbench.cli.options import Json, print_json


def serve(
    name: Annotated[str, typer.Argument(help="A short name, or a .gguf file.")],
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free one.")] = 8080,
    slots: Annotated[
        int | None, typer.Option(min=1, help="Requests answered at once; default: WORKBENCH_SLOTS.")
    ] = None,
    host: Annotated[
        str, typer.Option(help="Where to listen; others need OPENAI_COMPATIBLE_API_KEY.")
    ] = "127.0.0.1",
    keep_prompts: Annotated[
        bool,
        typer.Option(
            "--keep-prompts",
            help="Do not read again what an earlier prompt began with: quicker, but answers may"
            " depend on what was asked before.",
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Serve a local model over OpenAI's protocol, until Ctrl-C."""
    from workbench.backends.serving import Served
    from workbench.backends.serving import serve as serve_model

    def announce(served: Served) -> None:
        if as_json:
            print_json({"model": served.model, "url": served.url, "backend": served.backend})
        else:
            typer.echo(f"{served}; Ctrl-C ends it.")

    serve_model(name, host, port, slots=slots, keep_prompts=keep_prompts, announce=announce)
