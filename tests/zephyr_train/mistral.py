"""Mistral-7B-v0.1's tokenizer next to a small model, and its tokens by SentencePiece itself.

The SentencePiece model comes with the package mistral-common, of which nothing is imported.
"""

import hashlib
import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tokenizers import processors
from transformers.tokenization_utils_base import generate_merges

from tests.zephyr_train import zoo
from tests.zephyr_train.small_chat import SPECIALS, sentencepiece_bpe

PIECES, BOS, EOS = 32_000, 1, 2
_SHA256 = "dadfd56d766715c61d2ef780a525ab43b8e6da4de6865bda3d95fdef5e134055"  # of the tokenizer.model on the Hub
# As on the Hub: no pad token.
_CONFIG = {
    "add_bos_token": True,
    "add_eos_token": False,
    **dict(zip(("unk_token", "bos_token", "eos_token"), SPECIALS, strict=True)),
    "pad_token": None,
    "clean_up_tokenization_spaces": False,
    "legacy": True,
    "model_max_length": 1000000000000000019884624838656,
    "tokenizer_class": "LlamaTokenizer",
}


class Tokens(NamedTuple):
    """A dialogue's tokens, and which of them are its replies with an EOS each."""

    ids: list[int]
    is_reply: list[bool]


def sentencepiece_model() -> Any:
    """Return SentencePiece with Mistral-7B-v0.1's model, or skip the test."""
    module = pytest.importorskip("sentencepiece", reason="Mistral-7B-v0.1: the package sentencepiece is not here")
    package = find_spec("mistral_common")
    if package is None or package.origin is None:
        pytest.skip("Mistral-7B-v0.1: the package mistral-common, which has its tokenizer, is not here")
    file = Path(package.origin).parent / "data" / "tokenizer.model.v1"
    assert hashlib.sha256(file.read_bytes()).hexdigest() == _SHA256
    return module.SentencePieceProcessor(model_file=str(file))


def build(folder: Path) -> Path:
    """Write a small Mistral whose logits are far apart, with the tokenizer of the large one."""
    model = sentencepiece_model()
    scores = {model.id_to_piece(number): model.get_score(number) for number in range(model.get_piece_size())}
    numbers = {piece: number for number, piece in enumerate(scores)}
    inner = sentencepiece_bpe([*scores], generate_merges(numbers, scores))  # by score, since "▁▁" is the last to merge
    inner.post_processor = processors.TemplateProcessing("<s> $A", "<s> $A <s> $B", [("<s>", BOS)])
    zoo.build("mistral", folder, vocab_size=PIECES, max_position_embeddings=256, initializer_range=0.3)
    inner.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(_CONFIG))
    return folder


def expected(model: Any, messages: list[dict[str, str]]) -> Tokens:
    """Return the tokens of a dialogue in the Zephyr format, by SentencePiece: it never sees an EOS, nor a template."""
    tokens = Tokens([], [])
    behind = ""
    for message in messages:
        head = f"{behind}<|{message['role']}|>\n"
        whole = model.encode(head + message["content"])
        start = len(model.encode(head))
        is_reply = message["role"] == "assistant"
        tokens.ids.extend([*whole, EOS])
        tokens.is_reply.extend([False] * start + [is_reply] * (len(whole) - start + 1))
        behind = "\n"
    rest = model.encode(behind)
    tokens.ids.extend(rest)
    tokens.is_reply.extend([False] * len(rest))
    return tokens
