"""How LangChain's class for each provider is made and asked: names, servers, and what it can say.

Nothing of LangChain's is imported: its objects are looked at, not its modules.
"""

from __future__ import annotations

import inspect
import logging
import math
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from workbench.settings import settings
from workbench.types import SAMPLING, Message, SamplingParams

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Dialect:
    """How LangChain's class for one provider is made, asked and read.

    ``kind`` is the class, or one that it derives from, and ``maker`` what ``init_chat_model``
    calls the provider. ``names`` are the class's own for the fields of SamplingParams; what is
    missing cannot be said. With ``as_fields`` they are fields of the object, else arguments of a
    call. ``urls`` are the variables that name another server than ``home``. ``made_with`` are
    arguments of the class, given the seconds that a server may be silent; ``call_with`` those of
    each call. ``unsaid`` are values that hold where nothing is said, so that nothing is.
    ``counts_end``: the token counts come at the end of an answer, and only there.
    ``system_first``: a system message has its place before the conversation, and no other.
    """

    provider: str
    maker: str
    kind: str
    names: Mapping[str, str]
    urls: tuple[str, ...]
    home: str
    made_with: Callable[[float], dict[str, Any]]
    key: str = "api_key"
    call_with: Mapping[str, Any] = field(default_factory=dict)
    unsaid: Mapping[str, Any] = field(default_factory=dict)
    as_fields: bool = False
    counts_end: bool = False
    logprobs: bool = False
    reasoning: bool = True
    system_first: bool = False


_SAME = {name: name for name in SAMPLING}
_TOP_P_IS_1 = {"top_p": 1.0}

# Sources: the classes' own code, and the providers' references for what goes over the wire. No
# client tries again by itself: Google's and Mistral's libraries count the calls, OpenAI's and
# Anthropic's those after the first; Cohere's and Ollama's never try a stream again.
# OpenAI and Anthropic take 1 where no top_p is said, and some of their models refuse the word.
DIALECTS = (
    Dialect(
        "openai",
        "openai",
        "BaseChatOpenAI",
        _SAME,
        ("OPENAI_BASE_URL", "OPENAI_API_BASE"),
        "https://api.openai.com/v1",
        lambda silence: {
            "max_retries": 0,
            "timeout": silence,
            "stream_usage": True,
            "stream_chunk_timeout": None,
        },
        unsaid=_TOP_P_IS_1,
        counts_end=True,
        logprobs=True,
        reasoning=False,
    ),
    Dialect(
        "anthropic",
        "anthropic",
        "ChatAnthropic",
        {name: name for name in SAMPLING if name != "seed"},
        ("ANTHROPIC_API_URL", "ANTHROPIC_BASE_URL"),
        "https://api.anthropic.com",
        lambda silence: {"max_retries": 0, "timeout": silence},
        unsaid=_TOP_P_IS_1,
        system_first=True,
    ),
    Dialect(
        "cohere",
        "cohere",
        "ChatCohere",
        {**_SAME, "top_p": "p"},
        ("CO_API_URL",),
        "https://api.cohere.com",
        lambda silence: {"timeout_seconds": silence},
        key="cohere_api_key",
        logprobs=True,
    ),
    Dialect(
        "google",
        "google_genai",
        "ChatGoogleGenerativeAI",
        {**_SAME, "max_tokens": "max_output_tokens"},
        ("GOOGLE_GEMINI_BASE_URL",),
        "https://generativelanguage.googleapis.com",
        # No timeout, as its own is one of the whole answer. Without the word on Vertex, it would
        # ask there wherever the environment names a project.
        lambda silence: {"max_retries": 1, "vertexai": False},
        logprobs=True,
        system_first=True,
    ),
    Dialect(
        "mistral",
        "mistralai",
        "ChatMistralAI",
        {**_SAME, "seed": "random_seed"},
        ("MISTRAL_BASE_URL",),
        "https://api.mistral.ai/v1",
        lambda silence: {"max_retries": 1, "timeout": math.ceil(silence)},
        counts_end=True,
    ),
    Dialect(
        "ollama",
        "ollama",
        "ChatOllama",
        {**_SAME, "max_tokens": "num_predict"},
        ("OLLAMA_HOST",),
        "http://127.0.0.1:11434",
        # Else a server takes some 4,000 tokens, its default, and cuts longer prompts in silence;
        # and it samples from 40 tokens and punishes repetition by 1.1, as nobody else does.
        lambda silence: {
            "client_kwargs": {"timeout": silence},
            "num_ctx": settings().context_length,
            "top_k": 0,
            "repeat_penalty": 1.0,
        },
        # The class hands thoughts on only where it was told to ask for them, and a server refuses
        # to be asked where the model has none. So the class is told, and the server is not.
        call_with={"reasoning": True, "think": None},
        as_fields=True,
        logprobs=True,
    ),
)
BY_PROVIDER = {one.provider: one for one in DIALECTS}

# Cohere's reference: p is at most 0.99, and 0.75 where nothing is said.
_LARGEST_P = 0.99
# What classes that are not in the table may call the fields of SamplingParams.
_GUESSES = {
    "temperature": ("temperature",),
    "top_p": ("top_p", "p"),
    "max_tokens": (
        "max_tokens",
        "max_output_tokens",
        "max_completion_tokens",
        "max_new_tokens",
        "num_predict",
    ),
    "seed": ("seed", "random_seed"),
}


def dialect_of(model: object) -> Dialect | None:
    """Return the dialect of an object's class, None where its class is not in the table."""
    kinds = {kind.__name__ for kind in type(model).__mro__}
    return next((one for one in DIALECTS if one.kind in kinds), None)


@dataclass(frozen=True, slots=True)
class Call:
    """One call as it is made: messages, arguments, fields to change, and notes for the record.

    ``params`` are those in force, apart from the ``ignored`` ones.
    """

    messages: tuple[Message, ...]
    arguments: dict[str, Any]
    fields: dict[str, Any]
    params: SamplingParams
    ignored: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Manner:
    """How one model is told its sampling parameters.

    ``arguments`` and ``fields`` are the names of those that it takes, by the fields of
    SamplingParams. ``developer``: a system message leaves in the role "developer".
    """

    arguments: Mapping[str, str]
    fields: Mapping[str, str]
    always: Mapping[str, Any] = field(default_factory=dict)
    unsaid: Mapping[str, Any] = field(default_factory=dict)
    largest_p: float = 1.0
    developer: bool = False
    system_first: bool = False

    @property
    def honoured(self) -> tuple[str, ...]:
        """The fields of SamplingParams that the model takes."""
        return tuple(name for name in SAMPLING if name in self.arguments or name in self.fields)

    def call(self, messages: tuple[Message, ...], params: SamplingParams) -> Call:
        """Say one call's messages and parameters as the model wants them said."""
        notes = []
        if "top_p" in self.honoured and params.top_p > self.largest_p:
            params = replace(params, top_p=self.largest_p)
            notes.append(f"The provider takes no top_p above {self.largest_p:g}.")
        system = tuple(one for one in messages if one.role == "system")
        if self.system_first and messages[: len(system)] != system:
            messages = system + tuple(one for one in messages if one.role != "system")
            notes.append("The system message was moved to the beginning, its only place there.")
        if self.developer and system:
            notes.append("The system message was sent in the role 'developer'.")
        given = {name: getattr(params, name) for name in SAMPLING}
        said = {name: value for name, value in given.items() if self._is_said(name, value)}
        return Call(
            messages,
            {**self.always, **_renamed(said, self.arguments)},
            _renamed(said, self.fields),
            params,
            tuple(name for name in said if name not in self.honoured),
            tuple(notes),
        )

    def _is_said(self, name: str, value: Any) -> bool:
        return value is not None and value != () and self.unsaid.get(name) != value


def _renamed(values: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Return those values that have a name, by that name, as JSON would hold them."""
    return {
        names[name]: list(value) if isinstance(value, tuple) else value
        for name, value in values.items()
        if name in names
    }


def manner_of(model: Any, dialect: Dialect | None) -> Manner:
    """Find out how a model is told its sampling parameters, and which of them it takes."""
    if dialect is None:
        return _guessed(model)
    names, developer = dict(dialect.names), False
    request = _request(model)
    if request is not None:
        names = {name: own for name, own in names.items() if _holds(request, _PROBE[name])}
        if "input" in request:  # OpenAI's Responses API, whose client refuses a seed
            names.pop("seed", None)
        developer = any(_field(one, "role") == "developer" for one in request.get("messages") or ())
    unsaid = dict(dialect.unsaid)
    if (getattr(model, "profile", None) or {}).get("temperature") is False:
        # Such models sample by rules of their own; 1 is what their references call that.
        unsaid.update(temperature=1.0, top_p=1.0)
        names.pop("temperature", None)
        names.pop("top_p", None)
    return Manner(
        {} if dialect.as_fields else names,
        names if dialect.as_fields else {},
        dialect.call_with,
        unsaid,
        _LARGEST_P if dialect.provider == "cohere" else 1.0,
        developer,
        dialect.system_first,
    )


def _guessed(model: Any) -> Manner:
    """Take from a class's own code what it can be told; an end of text is any model's argument."""
    taken: set[str] = set()
    for method in ("_stream", "_astream", "_generate", "_agenerate"):
        taken |= set(inspect.signature(getattr(type(model), method)).parameters)
    fields_ = set(type(model).model_fields)
    found = {name: _first(guesses, taken) for name, guesses in _GUESSES.items()}
    arguments = {name: own for name, own in found.items() if own}
    found = {name: _first(guesses, fields_) for name, guesses in _GUESSES.items()}
    fields = {name: own for name, own in found.items() if own and name not in arguments}
    return Manner({**arguments, "stop": "stop"}, fields)


def _first(names: Iterable[str], among: set[str]) -> str:
    return next((name for name in names if name in among), "")


# Values that nothing else in a request has.
_PROBE: dict[str, Any] = {
    "temperature": 0.62519,
    "top_p": 0.73529,
    "max_tokens": 7919,
    "seed": 104_729,
    "stop": "\x02stop\x03",
}


def _request(model: Any) -> Mapping[str, Any] | None:
    """Return the request that a class would send with every parameter set, where it can say so.

    Some leave parameters out for some models, without a word to the caller.
    """
    options = {name: value for name, value in _PROBE.items() if name != "stop"}
    try:
        messages = model._convert_input([("system", "s"), ("user", "u")]).to_messages()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if hasattr(model, "_get_request_payload"):
                found = model._get_request_payload(messages, stop=[_PROBE["stop"]], **options)
            elif hasattr(model, "_prepare_request"):
                options["max_output_tokens"] = options.pop("max_tokens")
                found = model._prepare_request(messages, stop=[_PROBE["stop"]], **options)
            else:
                return None
    except Exception:  # private methods: where they changed, all is said and the server decides
        log.debug("the request of %s cannot be foreseen", type(model).__name__, exc_info=True)
        return None
    return found if isinstance(found, Mapping) else None


def _holds(where: Any, value: Any) -> bool:
    """Say whether a value stands anywhere within a request."""
    if hasattr(where, "model_dump"):
        where = where.model_dump()
    if isinstance(where, Mapping):
        return any(_holds(one, value) for one in where.values())
    if isinstance(where, list | tuple):
        return any(_holds(one, value) for one in where)
    return bool(type(where) is type(value) and where == value)


def _field(one: Any, name: str) -> Any:
    return one.get(name) if isinstance(one, Mapping) else getattr(one, name, None)
