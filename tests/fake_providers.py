"""Servers on a loopback port that speak the wire protocols of hosted providers, truthfully.

One ``FakeProvider`` speaks one protocol: it reads a request as its provider documents it, refuses
what its provider refuses (each such rule says where it is known from), lets a script say what the
model answers, and heeds stop strings and the token limit of the request: a token is a word. What
was received is kept, read back into roles, contents, and parameters by the workbench's own names.

Sources: the providers' API references (OpenAI ``chat/completions`` and ``responses``, Anthropic
``messages``, Cohere ``v2/chat``, Ollama ``api/chat``, Google ``streamGenerateContent``, Mistral
``chat/completions``), and the official client libraries, which must be able to read the answers.
"""

from __future__ import annotations

import json
import re
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

Turn = tuple[str, str]
Body = Mapping[str, Any]

_WORD = re.compile(r"\s*\S+|\s+")


def words(text: str) -> list[str]:
    """Cut a text into its tokens: words, each with the white space before it."""
    return _WORD.findall(text)


@dataclass(frozen=True, slots=True)
class Received:
    """One request: as it came, and as the workbench would call its parts."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    messages: tuple[Turn, ...]
    parameters: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Reply:
    """What the model says: a text, what it thinks before, or a tool that it calls instead.

    ``pieces`` are the tokens of a text that does not come word by word.
    """

    text: str = ""
    reasoning: str = ""
    tool: str | None = None
    refused: bool = False
    pieces: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Fault:
    """What the server answers instead of a reply; a ``body`` None is the provider's error."""

    status: int
    message: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None


Script = Callable[[Received], Reply | Fault]


def echo(received: Received) -> Reply:
    """Say what the last user said."""
    said = [content for role, content in received.messages if role == "user"]
    return Reply(said[-1] if said else "nobody asked")


def says(text: str, **rest: Any) -> Script:
    """Return a script that always says the same."""
    return lambda received: Reply(text, **rest)


@dataclass(frozen=True, slots=True)
class Said:
    """A reply after the request's stop strings and token limit; ``stop`` is the one found."""

    reply: Reply
    words: tuple[str, ...]
    end: str
    stop: str | None
    read: int
    written: int


def cut(reply: Reply, received: Received) -> Said:
    """Heed the stop strings, then the token limit, of which thoughts take their part."""
    text, end, stop = reply.text, "stop", None
    found = [(text.find(one), one) for one in received.parameters.get("stop", ()) if one in text]
    if found:
        at, stop = min(found)
        text = text[:at]
    spoken, thought = list(reply.pieces) or words(text), len(words(reply.reasoning))
    room = max(received.parameters.get("max_tokens", 10**9) - thought, 0)
    if len(spoken) > room:
        spoken, end, stop = spoken[:room], "length", None
    if reply.tool is not None:
        end = "tool"
    elif reply.refused:
        end = "refused"
    read = sum(len(words(content)) for _, content in received.messages)
    return Said(reply, tuple(spoken), end, stop, read, len(spoken) + thought)


# --- the protocols ----------------------------------------------------------------------


class Wire:
    """One provider's protocol. ``names`` are its words for our sampling parameters."""

    path: ClassVar[str]
    media: ClassVar[str] = "text/event-stream"
    names: ClassVar[dict[str, str]]

    def refusal(self, body: Body) -> str | None:
        """Return why the provider would answer 400, None where it would not."""
        return None if body.get("messages") else "messages: at least one message is required"

    def options(self, body: Body) -> Body:
        """Return where the sampling parameters stand."""
        return body

    def messages(self, body: Body) -> Iterator[Turn]:
        """Yield role and content of each message; of one in several parts, each part."""
        for message in body.get("messages") or ():
            yield from _turns(message["role"], message.get("content"))

    def parameters(self, body: Body) -> dict[str, Any]:
        """Return the sampling parameters by our names, those alone that are there."""
        given = self.options(body)
        return {
            ours: given[theirs]
            for theirs, ours in self.names.items()
            if given.get(theirs) not in (None, [])
        }

    def events(self, said: Said, body: Body) -> Iterator[bytes]:
        """Yield the answer's stream."""
        raise NotImplementedError

    def error(self, status: int, message: str) -> dict[str, Any]:
        """Return the body of an error."""
        return {"error": {"message": message, "type": "invalid_request_error", "code": status}}


def _turns(role: str, content: Any) -> Iterator[Turn]:
    if isinstance(content, list):
        for part in content:
            yield role, part if isinstance(part, str) else part.get("text", json.dumps(part))
    else:
        yield role, content or ""


def _event(data: Mapping[str, Any], name: str | None = None, escaped: str = "") -> bytes:
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {_json(data, escaped)}\n\n".encode()


def _json(data: Mapping[str, Any], escaped: str) -> str:
    """Write JSON with its characters as they are, except for those that the server escapes.

    A client that takes U+2028 or U+0085 for a line's end breaks on the others.
    """
    text = json.dumps(data, ensure_ascii=False)
    return re.sub(f"[{escaped}]", lambda at: f"\\u{ord(at[0]):04x}", text) if escaped else text


class OpenAI(Wire):
    """https://platform.openai.com/docs/api-reference/chat-streaming."""

    path = r"(/v1)?/chat/completions"
    names: ClassVar = {
        "temperature": "temperature",
        "top_p": "top_p",
        "max_tokens": "max_tokens",
        "max_completion_tokens": "max_tokens",
        "seed": "seed",
        "stop": "stop",
    }
    finish: ClassVar = {
        "stop": "stop",
        "length": "length",
        "tool": "tool_calls",
        "refused": "content_filter",
    }
    # What its reasoning models take no other value of, or not at all.
    _FIXED: ClassVar = {"temperature": 1, "top_p": 1, "stop": None, "max_tokens": None}

    def refusal(self, body: Body) -> str | None:
        if len(body.get("stop") or ()) > 4:
            return "Invalid 'stop': array too long. Expected an array with maximum length 4."
        if re.match(r"o\d|gpt-5", body.get("model", "")):
            for name, only in self._FIXED.items():
                if body.get(name, only) != only:
                    return f"Unsupported parameter: '{name}' is not supported with this model."
        return super().refusal(body)

    def events(self, said: Said, body: Body) -> Iterator[bytes]:
        yield b": a comment, as servers send to keep a connection\n\n"
        yield self._chunk(body, {"role": "assistant", "content": ""})
        for word in words(said.reply.reasoning):  # as vLLM, llama-server and DeepSeek say it
            yield self._chunk(body, {"reasoning_content": word})
        for word in said.words:
            yield self._chunk(body, {"content": word})
        if said.reply.tool:
            yield self._chunk(body, {"tool_calls": [_call(said.reply.tool)]})
        yield self._chunk(body, {}, self.finish[said.end])
        if (body.get("stream_options") or {}).get("include_usage"):
            yield self._chunk(body, None, usage=_usage(said))
        yield b"data: [DONE]\n\n"

    def _chunk(
        self,
        body: Body,
        delta: dict[str, Any] | None,
        finish: str | None = None,
        usage: dict[str, Any] | None = None,
    ) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return _event(
            {
                "id": "chatcmpl-1",
                "object": "chat.completion.chunk",
                "created": 1,
                "model": body["model"],
                "system_fingerprint": "fp_1",
                "choices": [] if delta is None else [choice],
                "usage": usage,
            }
        )


def _call(name: str) -> dict[str, Any]:
    function = {"name": name, "arguments": "{}"}
    return {"index": 0, "id": "call_1", "type": "function", "function": function}


def _usage(said: Said) -> dict[str, Any]:
    return {
        "prompt_tokens": said.read,
        "completion_tokens": said.written,
        "total_tokens": said.read + said.written,
    }


class Responses(Wire):
    """https://platform.openai.com/docs/api-reference/responses-streaming: OpenAI's other one."""

    path = r"(/v1)?/responses"
    names: ClassVar = {
        "temperature": "temperature",
        "top_p": "top_p",
        "max_output_tokens": "max_tokens",
    }

    def refusal(self, body: Body) -> str | None:
        for name in ("stop", "seed", "max_tokens", "messages"):
            if name in body:
                return f"Unknown parameter: '{name}'."
        return None if body.get("input") else "Missing required parameter: 'input'."

    def messages(self, body: Body) -> Iterator[Turn]:
        if body.get("instructions"):
            yield "system", body["instructions"]
        for item in body["input"]:
            yield from _turns(item["role"], item["content"])

    def events(self, said: Said, body: Body) -> Iterator[bytes]:
        part = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
        text = {"type": "output_text", "text": "", "annotations": []}
        item = {"id": "msg_1", "type": "message", "role": "assistant", "content": []}
        steps: list[dict[str, Any]] = [
            {"type": "response.created", "response": self._response(said, body, "in_progress")},
            {"type": "response.output_item.added", "output_index": 0, "item": item},
            {"type": "response.content_part.added", **part, "part": text},
        ]
        steps += [
            {"type": "response.output_text.delta", **part, "delta": word, "logprobs": []}
            for word in said.words
        ]
        if said.reply.tool:
            call = {"id": "fc_1", "type": "function_call", "call_id": "call_1", "arguments": "{}"}
            call["name"] = said.reply.tool
            for step in ("added", "done"):
                steps.append(
                    {"type": f"response.output_item.{step}", "output_index": 1, "item": call}
                )
        end = "incomplete" if said.end in ("length", "refused") else "completed"
        steps.append({"type": f"response.{end}", "response": self._response(said, body, end)})
        for number, step in enumerate(steps):
            yield _event({**step, "sequence_number": number}, step["type"])

    def _response(self, said: Said, body: Body, status: str) -> dict[str, Any]:
        reasons = {"length": "max_output_tokens", "refused": "content_filter"}
        content = [{"type": "output_text", "text": "".join(said.words), "annotations": []}]
        message = {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "status": status,
            "content": content,
        }
        begun = status == "in_progress"
        return {
            "id": "resp_1",
            "object": "response",
            "created_at": 1,
            "model": body["model"],
            "status": status,
            "output": [] if begun else [message],
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
            "error": None,
            "incomplete_details": (
                {"reason": reasons[said.end]} if status == "incomplete" else None
            ),
            "usage": None
            if begun
            else {
                "input_tokens": said.read,
                "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
                "output_tokens": said.written,
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": said.read + said.written,
            },
        }


class Anthropic(Wire):
    """https://docs.anthropic.com/en/api/messages-streaming."""

    path = r"/v1/messages"
    names: ClassVar = {
        "temperature": "temperature",
        "top_p": "top_p",
        "max_tokens": "max_tokens",
        "stop_sequences": "stop",
    }
    finish: ClassVar = {
        "stop": "end_turn",
        "length": "max_tokens",
        "tool": "tool_use",
        "refused": "refusal",
    }
    # Since Opus 4.1, as its users were told: "cannot both be specified for this model".
    _EITHER = re.compile(r"claude-(opus-4-[1-9]|sonnet-4-[5-9]|haiku-4-[5-9]|\w+-5)")
    # langchain-anthropic knows these two, and refuses such requests itself.
    _NEITHER = re.compile(r"claude-(fable-5|sonnet-5-5)")

    def refusal(self, body: Body) -> str | None:
        if "seed" in body:
            return "seed: Extra inputs are not permitted"
        if "max_tokens" not in body:
            return "max_tokens: Field required"
        if not 0 <= (body.get("temperature") or 0) <= 1:
            return "temperature: range: 0..1"
        if any(not stop.strip() for stop in body.get("stop_sequences") or ()):
            return "stop_sequences: each stop sequence must contain non-whitespace"
        if {"temperature", "top_p"} <= set(body) and self._EITHER.match(body["model"]):
            return "`temperature` and `top_p` cannot both be specified for this model."
        changed = any(body.get(name, 1) != 1 for name in ("temperature", "top_p"))
        if changed and self._NEITHER.match(body["model"]):
            return "`temperature` and `top_p` are not supported for this model."
        return super().refusal(body) or self._refused_text(body)

    def _refused_text(self, body: Body) -> str | None:
        for message in body["messages"]:
            if message["role"] not in ("user", "assistant"):
                return f"messages: Unexpected role '{message['role']}'"
        turns = list(self.messages(body))
        if any(not content for _, content in turns):
            return "messages: text content blocks must be non-empty"
        if any(not content.strip() for _, content in turns):
            return "messages: text content blocks must contain non-whitespace text"
        role, last = turns[-1]
        if role == "assistant" and last != last.rstrip():
            return "messages: final assistant content cannot end with trailing whitespace"
        return None

    def messages(self, body: Body) -> Iterator[Turn]:
        if body.get("system"):
            yield from _turns("system", body["system"])
        yield from super().messages(body)

    def events(self, said: Said, body: Body) -> Iterator[bytes]:
        for step in self._steps(said, body):
            yield _event(step, step["type"])

    def _steps(self, said: Said, body: Body) -> Iterator[dict[str, Any]]:
        usage = {"input_tokens": said.read, "output_tokens": 1}
        message = {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": body["model"],
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage,
        }
        yield {"type": "message_start", "message": message}
        blocks: list[tuple[dict[str, Any], list[dict[str, Any]]]] = []
        if thoughts := words(said.reply.reasoning):
            deltas = [{"type": "thinking_delta", "thinking": word} for word in thoughts]
            deltas.append({"type": "signature_delta", "signature": "c2lnbmVk"})
            blocks.append(({"type": "thinking", "thinking": "", "signature": ""}, deltas))
        spoken = [{"type": "text_delta", "text": word} for word in said.words]
        blocks.append(({"type": "text", "text": ""}, spoken))
        if said.reply.tool:
            tool = {"type": "tool_use", "id": "toolu_1", "name": said.reply.tool, "input": {}}
            blocks.append((tool, [{"type": "input_json_delta", "partial_json": "{}"}]))
        for index, (block, deltas) in enumerate(blocks):
            yield {"type": "content_block_start", "index": index, "content_block": block}
            yield {"type": "ping"}
            for delta in deltas:
                yield {"type": "content_block_delta", "index": index, "delta": delta}
            yield {"type": "content_block_stop", "index": index}
        reason = "stop_sequence" if said.stop else self.finish[said.end]
        yield {
            "type": "message_delta",
            "delta": {"stop_reason": reason, "stop_sequence": said.stop},
            "usage": {"input_tokens": said.read, "output_tokens": said.written},
        }
        yield {"type": "message_stop"}

    def error(self, status: int, message: str) -> dict[str, Any]:
        kind = {401: "authentication_error", 429: "rate_limit_error", 500: "api_error"}
        found = {"type": kind.get(status, "invalid_request_error"), "message": message}
        return {"type": "error", "error": found, "request_id": "req_1"}


class Cohere(Wire):
    """https://docs.cohere.com/reference/chat-stream (v2, which langchain-cohere calls)."""

    path = r"/v2/chat"
    names: ClassVar = {
        "temperature": "temperature",
        "p": "top_p",
        "max_tokens": "max_tokens",
        "seed": "seed",
        "stop_sequences": "stop",
    }
    finish: ClassVar = {
        "stop": "COMPLETE",
        "length": "MAX_TOKENS",
        "tool": "TOOL_CALL",
        "refused": "ERROR",
    }

    def refusal(self, body: Body) -> str | None:
        if not 0.01 <= (body.get("p") or 0.75) <= 0.99:
            return "invalid request: p must be between 0.01 and 0.99 inclusive"
        if len(body.get("stop_sequences") or ()) > 5:
            return "invalid request: stop_sequences may hold up to 5 strings"
        if body.get("messages") and body["messages"][-1]["role"] not in ("user", "tool"):
            return "invalid request: the last message must be of the user or a tool"
        return super().refusal(body)

    def events(self, said: Said, body: Body) -> Iterator[bytes]:
        for step in self._steps(said):
            yield _event(step, step["type"])

    def _steps(self, said: Said) -> Iterator[dict[str, Any]]:
        start = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": []}
        yield {"type": "message-start", "id": "1", "delta": {"message": start}}
        parts = [("thinking", words(said.reply.reasoning)), ("text", list(said.words))]
        for index, (kind, spoken) in enumerate(part for part in parts if part[1]):
            content = {"type": kind, kind: ""}
            head = {"type": "content-start", "index": index}
            yield {**head, "delta": {"message": {"content": content}}}
            for word in spoken:
                delta = {"message": {"content": {kind: word}}}
                yield {"type": "content-delta", "index": index, "delta": delta}
            yield {"type": "content-end", "index": index}
        if said.reply.tool:
            call = {"id": "call_1", "type": "function"}
            call["function"] = {"name": said.reply.tool, "arguments": ""}  # type: ignore[assignment]
            begun = {"message": {"tool_calls": call}}
            yield {"type": "tool-call-start", "index": 0, "delta": begun}
            given = {"message": {"tool_calls": {"function": {"arguments": "{}"}}}}
            yield {"type": "tool-call-delta", "index": 0, "delta": given}
            yield {"type": "tool-call-end", "index": 0}
        counted = {"input_tokens": said.read, "output_tokens": said.written}
        reason = "STOP_SEQUENCE" if said.stop else self.finish[said.end]
        usage = {"billed_units": counted, "tokens": counted}
        yield {
            "type": "message-end",
            "id": "1",
            "delta": {"finish_reason": reason, "usage": usage},
        }

    def error(self, status: int, message: str) -> dict[str, Any]:
        return {"id": "1", "message": message}


class Ollama(Wire):
    """https://docs.ollama.com/api/chat: JSON lines, and options in an object of their own."""

    path = r"/api/chat"
    media = "application/x-ndjson"
    names: ClassVar = {
        "temperature": "temperature",
        "top_p": "top_p",
        "num_predict": "max_tokens",
        "seed": "seed",
        "stop": "stop",
    }
    finish: ClassVar = {"stop": "stop", "length": "length", "tool": "stop", "refused": "stop"}

    def refusal(self, body: Body) -> str | None:
        return None  # without messages it loads the model, and says so: "done_reason": "load"

    def options(self, body: Body) -> Body:
        return body.get("options") or {}

    def events(self, said: Said, body: Body) -> Iterator[bytes]:
        for word in words(said.reply.reasoning) if body.get("think") else ():
            yield self._line(body, {"content": "", "thinking": word})
        for word in said.words:
            yield self._line(body, {"content": word})
        if said.reply.tool:
            call = {"function": {"name": said.reply.tool, "arguments": {}}}
            yield self._line(body, {"content": "", "tool_calls": [call]})
        yield self._line(
            body,
            {"content": ""},
            done=True,
            done_reason=self.finish[said.end],
            total_duration=10,
            load_duration=1,
            prompt_eval_count=said.read,
            prompt_eval_duration=4,
            eval_count=said.written,
            eval_duration=5,
        )

    def _line(self, body: Body, message: dict[str, Any], **rest: Any) -> bytes:
        line = {
            "model": body["model"],
            "created_at": "2026-01-01T00:00:00Z",
            "message": {"role": "assistant", **message},
            "done": False,
            **rest,
        }
        # As Go's encoding/json does, in which Ollama is written.
        return _json(line, "\u2028\u2029<>&").encode() + b"\n"

    def error(self, status: int, message: str) -> dict[str, Any]:
        return {"error": message}


class Google(Wire):
    """https://ai.google.dev/api/generate-content: the model's name stands in the path."""

    path = r"/v1(beta)?/models/[^/]+:streamGenerateContent"
    names: ClassVar = {
        "temperature": "temperature",
        "topP": "top_p",
        "maxOutputTokens": "max_tokens",
        "seed": "seed",
        "stopSequences": "stop",
    }
    finish: ClassVar = {"stop": "STOP", "length": "MAX_TOKENS", "tool": "STOP", "refused": "SAFETY"}

    def refusal(self, body: Body) -> str | None:
        if not body.get("contents"):
            return "* GenerateContentRequest.contents: contents is not specified"
        if len(self.options(body).get("stopSequences") or ()) > 5:
            return "Invalid value at 'generation_config.stop_sequences': 5 are the most"
        if any(not content.get("parts") for content in body["contents"]):
            return "* GenerateContentRequest.contents.parts: contents.parts must not be empty."
        return None

    def options(self, body: Body) -> Body:
        return body.get("generationConfig") or {}

    def messages(self, body: Body) -> Iterator[Turn]:
        yield from _turns("system", (body.get("systemInstruction") or {}).get("parts", []))
        for content in body["contents"]:
            role = {"model": "assistant"}.get(content.get("role"), "user")
            yield from _turns(role, content["parts"])

    def events(self, said: Said, body: Body) -> Iterator[bytes]:
        for word in words(said.reply.reasoning):
            yield self._chunk(said, [{"text": word, "thought": True}])
        for word in said.words:
            yield self._chunk(said, [{"text": word}])
        tool = [{"functionCall": {"name": said.reply.tool, "args": {}}}] if said.reply.tool else []
        yield self._chunk(said, tool or [{"text": ""}], self.finish[said.end])

    def _chunk(self, said: Said, parts: list[dict[str, Any]], finish: str | None = None) -> bytes:
        candidate: dict[str, Any] = {"content": {"role": "model", "parts": parts}, "index": 0}
        if finish:
            candidate["finishReason"] = finish
        thought = len(words(said.reply.reasoning))
        usage = {
            "promptTokenCount": said.read,
            "candidatesTokenCount": said.written - thought,
            "thoughtsTokenCount": thought,
            "totalTokenCount": said.read + said.written,
        }
        data = {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "g-1"}
        # As protobuf's JSON does (json_escaping.cc), which Google answers in.
        return _event(data, escaped="\x7f-\x9f\u2028\u2029\ufeff<>")

    def error(self, status: int, message: str) -> dict[str, Any]:
        return {"error": {"code": status, "message": message, "status": "INVALID_ARGUMENT"}}


class Mistral(OpenAI):
    """https://docs.mistral.ai/api/#tag/chat: as OpenAI's, with words and rules of its own."""

    names: ClassVar = {
        "temperature": "temperature",
        "top_p": "top_p",
        "max_tokens": "max_tokens",
        "random_seed": "seed",
        "stop": "stop",
    }

    def refusal(self, body: Body) -> str | None:
        if body.get("temperature") == 0 and body.get("top_p", 1) != 1:
            return "top_p must be 1 when using greedy sampling."
        last = (body.get("messages") or [{"role": "user"}])[-1]
        if last["role"] not in ("user", "tool") and not last.get("prefix"):
            return (
                "Expected last role User or Tool (or Assistant with prefix True) for serving but"
                f" got {last['role']}"
            )
        return Wire.refusal(self, body)

    def events(self, said: Said, body: Body) -> Iterator[bytes]:
        yield self._chunk(body, {"role": "assistant", "content": ""})
        for word in words(said.reply.reasoning):
            thinking = [{"type": "thinking", "thinking": [{"type": "text", "text": word}]}]
            yield self._chunk(body, {"content": thinking})
        for word in said.words:
            yield self._chunk(body, {"content": word})
        delta = {"content": "", "tool_calls": [_call(said.reply.tool)]} if said.reply.tool else {}
        end = {"content": "", **delta}
        yield self._chunk(body, end, self.finish[said.end], _usage(said))
        yield b"data: [DONE]\n\n"

    def error(self, status: int, message: str) -> dict[str, Any]:
        return {"object": "error", "message": message, "type": "invalid_request_error"}


WIRES: dict[str, tuple[Wire, ...]] = {
    "openai": (OpenAI(), Responses()),
    "anthropic": (Anthropic(),),
    "cohere": (Cohere(),),
    "ollama": (Ollama(),),
    "google": (Google(),),
    "mistral": (Mistral(),),
    "openai-compatible": (OpenAI(),),
}


# --- the server -------------------------------------------------------------------------


class FakeProvider(ThreadingHTTPServer):
    """One provider's server. ``script`` may be changed at any time.

    ``received`` holds all that it was asked, and ``said`` what it answered; ``left`` is set once a
    client went away within an answer.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, provider: str, script: Script = echo) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.wires = WIRES[provider]
        self.script = script
        self.digest = "0" * 64
        self.received: list[Received] = []
        self.said: list[Said] = []
        self.left = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, address: Any) -> None:
        if isinstance(sys.exc_info()[1], OSError):
            self.left.set()
        else:
            super().handle_error(request, address)


@contextmanager
def fake_provider(provider: str, script: Script = echo) -> Iterator[FakeProvider]:
    """Serve one provider's protocol until the block ends."""
    server = FakeProvider(provider, script)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: FakeProvider
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else each small event waits for the client's delayed ACK

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        listed = {
            "/api/tags": {
                "models": [
                    {
                        "name": f"{name}:latest",
                        "model": f"{name}:latest",
                        "digest": self.server.digest,
                    }
                    for name in ("echo", "qwen3")
                ]
            },
            "/api/version": {"version": "0.12.0"},
            "/v1/models": {"object": "list", "data": [{"id": "echo", "object": "model"}]},
        }
        path = self.path.partition("?")[0]
        if path in listed:
            self._answer(200, json.dumps(listed[path]).encode())
        else:
            self._refuse(404, "no such path")

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        path = self.path.partition("?")[0]
        wire = next((one for one in self.server.wires if re.fullmatch(one.path, path)), None)
        if wire is None:
            self._refuse(404, f"no such path: {path}")
        elif said := wire.refusal(body):
            self._refuse(400, said, wire)
        else:
            self._reply(wire, body)

    def _reply(self, wire: Wire, body: dict[str, Any]) -> None:
        turns = tuple(wire.messages(body))
        headers = {name.lower(): value for name, value in self.headers.items()}
        received = Received(self.path, headers, body, turns, wire.parameters(body))
        self.server.received.append(received)
        reply = self.server.script(received)
        if isinstance(reply, Fault):
            raw = reply.body
            if raw is None:
                raw = json.dumps(wire.error(reply.status, reply.message)).encode()
            self._answer(reply.status, raw, reply.headers)
            return
        said = cut(reply, received)
        self.server.said.append(said)
        self.send_response(200)
        self.send_header("Content-Type", wire.media)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for event in wire.events(said, body):
            self.wfile.write(b"%x\r\n%b\r\n" % (len(event), event))
        self.wfile.write(b"0\r\n\r\n")

    def _refuse(self, status: int, message: str, wire: Wire | None = None) -> None:
        error = (wire or self.server.wires[0]).error(status, message)
        self._answer(status, json.dumps(error).encode())

    def _answer(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
