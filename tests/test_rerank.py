"""Reranking: a second model orders the first one's hits, and nothing else changes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from workbench.errors import BadInput, MissingModel, UnknownName
from workbench.retrieval.rerank import DEPTH, Reranked, load_reranker
from workbench.types import Chunk, Hit


def chunk(number: int) -> Chunk:
    return Chunk(str(number), f"text {number}", "a.py", number, number, "python", None, "s", None)


class Counting:
    """Returns chunks 1, 2, 3, ..., as many as asked for, and remembers how many that were."""

    def __init__(self, there: int = 1000) -> None:
        self.there = there
        self.asked: list[int] = []

    def search(self, query: str, k: int) -> list[Hit]:
        self.asked.append(k)
        return [Hit(chunk(n), 1.0 / n, n) for n in range(1, min(k, self.there) + 1)]


def backwards(query: str, texts: Sequence[str]) -> np.ndarray:
    return np.array([float(text.split()[-1]) for text in texts])


def test_the_judge_orders_the_first_hits_and_ranks_count_from_one() -> None:
    hits = Reranked(Counting(there=4), backwards).search("q", 3)
    assert [hit.chunk.id for hit in hits] == ["4", "3", "2"]
    assert [hit.rank for hit in hits] == [1, 2, 3]
    assert [hit.score for hit in hits] == [4.0, 3.0, 2.0]


def test_a_few_hits_are_chosen_among_many() -> None:
    first = Counting()
    hits = Reranked(first, backwards).search("q", 1)
    assert first.asked == [DEPTH]
    assert hits[0].chunk.id == str(DEPTH)


def test_what_lies_deeper_keeps_its_place_and_scores_never_rise() -> None:
    hits = Reranked(Counting(), backwards, depth=3).search("q", 6)
    assert [hit.chunk.id for hit in hits] == ["3", "2", "1", "4", "5", "6"]
    assert all(a.score >= b.score for a, b in pairwise(hits))


def test_equal_scores_keep_the_first_order() -> None:
    hits = Reranked(Counting(there=5), lambda query, texts: np.zeros(len(texts))).search("q", 5)
    assert [hit.chunk.id for hit in hits] == ["1", "2", "3", "4", "5"]


def test_nothing_found_is_nothing_to_judge() -> None:
    def fails(query: str, texts: Sequence[str]) -> np.ndarray:
        raise AssertionError("called without a text")

    assert Reranked(Counting(there=0), fails).search("q", 3) == []


@pytest.mark.parametrize("name", ["cross-encodr/x", "", "bm25"])
def test_an_unknown_reranker_is_named(name: str) -> None:
    with pytest.raises(UnknownName, match="reranker"):
        load_reranker(name)


def test_a_reranker_without_a_model_is_refused() -> None:
    with pytest.raises(BadInput, match="Which cross-encoder"):
        load_reranker("cross-encoder")


def test_a_model_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(MissingModel) as caught:
        load_reranker(f"cross-encoder/{tmp_path}")
    assert "\n" not in str(caught.value)


def tiny_cross_encoder(folder: Path, labels: int = 1) -> Path:
    """Make a random BERT of two layers that judges pairs."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "parse", "date", "text", "a.py", *"0123456789"]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, "[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", model_max_length=64
    ).save_pretrained(folder)
    import torch

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=16, max_position_embeddings=64, num_labels=labels,
    )  # fmt: skip
    BertForSequenceClassification(config).save_pretrained(folder)
    return folder


def test_a_cross_encoder_of_a_folder_judges_as_the_library_does(tmp_path: Path) -> None:
    from sentence_transformers import CrossEncoder

    folder = tiny_cross_encoder(tmp_path / "judge")
    hits = Reranked(Counting(there=8), load_reranker(f"cross-encoder/{folder}")).search("parse", 8)
    texts = [f"a.py\n{chunk(n).text}" for n in range(1, 9)]
    scores = CrossEncoder(str(folder)).rank("parse", texts)
    assert [hit.chunk.id for hit in hits] == [str(int(one["corpus_id"]) + 1) for one in scores]
    assert len({hit.score for hit in hits}) > 1


def test_a_classifier_of_several_classes_is_refused(tmp_path: Path) -> None:
    folder = tiny_cross_encoder(tmp_path / "judge", labels=3)
    with pytest.raises(BadInput, match="3 scores a pair"):
        Reranked(Counting(there=2), load_reranker(f"cross-encoder/{folder}")).search("parse", 2)
