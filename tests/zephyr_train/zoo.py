"""Small models of several types, as transformers saves them."""

import shutil
from pathlib import Path
from typing import Any

import torch
from transformers import CONFIG_MAPPING, AutoModelForCausalLM

VOCABULARY, POSITIONS = 300, 128
_COMMON = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": POSITIONS,
}
_GPT = {"vocab_size": VOCABULARY, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": POSITIONS}
_SIZES: dict[str, dict[str, Any]] = {
    "mistral": _COMMON,
    "mixtral": {**_COMMON, "num_local_experts": 4},
    "qwen2_moe": {
        **_COMMON,
        "num_experts": 4,
        "moe_intermediate_size": 16,
        "shared_expert_intermediate_size": 16,
        "decoder_sparse_step": 1,
    },
    "gpt_neox": _COMMON,
    "gpt2": _GPT,
    "gptj": {**_GPT, "rotary_dim": 4},
    "bloom": {"vocab_size": VOCABULARY, "hidden_size": 32, "n_layer": 2, "n_head": 4},
    "opt": {**_COMMON, "ffn_dim": 48, "word_embed_proj_dim": 32},
    "mamba": _COMMON,
}
KINDS = tuple(_SIZES)
_ENCODERS: dict[str, dict[str, Any]] = {  # each of their tokens sees all others
    "bert": _COMMON,
    "megatron-bert": _COMMON,
    "rembert": {**_COMMON, "input_embedding_size": 32, "output_embedding_size": 32},
    "roformer": _COMMON,
    "big_bird": {**_COMMON, "attention_type": "original_full"},
    "xlm": {
        "vocab_size": VOCABULARY,
        "emb_dim": 32,
        "n_layers": 2,
        "n_heads": 4,
        "init_std": 0.5,
        "embed_init_std": 0.5,
    },
}


def build(kind: str, folder: Path, tokenizer: Path | None = None, **sizes: Any) -> Path:
    """Write a model with random weights; `tokenizer`: a folder whose tokenizer is copied next to it."""
    torch.manual_seed(0)
    ids = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": None}
    model = AutoModelForCausalLM.from_config(CONFIG_MAPPING[kind](**(_SIZES | _ENCODERS)[kind] | ids | sizes))
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        if tokenizer is not None:
            shutil.copy(tokenizer / name, folder / name)
    return folder
