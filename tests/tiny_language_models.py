"""Tiny random models that write text: saved as safetensors, with a tokenizer of ASCII."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedTokenizerFast,
)

CHATML = (
    "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
NO_SYSTEM = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
    + CHATML
)
DROPS_SYSTEM = CHATML.replace("in messages %}", "in messages if m['role'] != 'system' %}")
SPECIAL = ["<|end|>", "<|system|>", "<|user|>", "<|assistant|>"]
SIZES = {
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 4096,
}


def tokenizer(template: str | None = CHATML) -> PreTrainedTokenizerFast:
    # Bytes below 128 only, so that each token is a whole character. Those that cannot be printed
    # stand behind U+0100 in the byte-level alphabet.
    alphabet = sorted(
        one
        for one in pre_tokenizers.ByteLevel.alphabet()
        if one <= "~" or "\u0100" <= one <= "\u0121"
    )
    inner = Tokenizer(BPE({one: number for number, one in enumerate(alphabet)}, []))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    made = PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<|end|>")
    made.add_special_tokens({"additional_special_tokens": SPECIAL[1:]})
    made.chat_template = template
    return made


def write(
    folder: Path,
    kind: str = "llama",
    template: str | None = CHATML,
    seed: int = 0,
    hidden_size: int = 32,
) -> Path:
    """Save a model whose answers are long and differ from prompt to prompt."""
    torch.manual_seed(seed)
    words = tokenizer(template)
    common = {
        "hidden_size": hidden_size,
        "vocab_size": len(words),
        "eos_token_id": words.eos_token_id,
        "pad_token_id": 0,
    }
    model: torch.nn.Module
    if kind == "llama":
        model = LlamaForCausalLM(LlamaConfig(**SIZES, **common, initializer_range=0.3))
    elif kind == "mistral":  # attends to a sliding window
        model = MistralForCausalLM(
            MistralConfig(**SIZES, **common, sliding_window=8, initializer_range=0.3)
        )
    else:  # a state space, without keys and values
        model = MambaForCausalLM(MambaConfig(num_hidden_layers=2, **common, initializer_range=0.3))
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


def write_adapter(folder: Path, base: Path, seed: int) -> Path:
    """Save a LoRA adapter with random weights on both sides, so that it changes answers."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(seed)
    model = LlamaForCausalLM.from_pretrained(base)
    config = LoraConfig(
        r=4, lora_alpha=16, target_modules=["q_proj", "v_proj", "up_proj"], init_lora_weights=False
    )
    get_peft_model(model, config).save_pretrained(folder)
    return folder
