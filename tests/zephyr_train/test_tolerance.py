"""Laws on log-probs pass what rounding does in 32 layers over 300 tokens, and still catch what is wrong."""

import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from transformers import CONFIG_MAPPING, AutoModelForCausalLM, MistralConfig
from transformers.modeling_utils import AttentionInterface
from trl.trainer.dpo_trainer import DataCollatorForPreference

from zephyr_train.errors import InvariantBroken
from zephyr_train.pairs import attention, scoring
from zephyr_train.pairs.layout import PADDED, SEPARATE, SHARED
from zephyr_train.training import tolerance
from zephyr_train.training.layout_check import require_equal_layouts
from zephyr_train.training.margins import Margins

VOCABULARY, LAYERS = 256, 32
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def deep(numerics: str, *, seed: int = 0, change: float = 0.0, kind: str = "mistral", **sizes: Any) -> Any:
    """Return a narrow model of 32 layers whose logits spread as a trained one's; `change`: share of each weight."""
    torch.manual_seed(0)
    common = {
        "vocab_size": VOCABULARY, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": LAYERS,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 1024, "sliding_window": None,
        "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
    }  # fmt: skip
    model = AutoModelForCausalLM.from_config(CONFIG_MAPPING[kind](**common | sizes), attn_implementation="sdpa")
    for name, weight in model.named_parameters():
        if weight.dim() > 1:
            spread = {"model.embed_tokens.weight": 1.0, "lm_head.weight": 2.5 / 8}.get(name, weight.shape[-1] ** -0.5)
            torch.nn.init.normal_(weight, std=spread)
    torch.manual_seed(seed)
    for weight in model.parameters():
        weight.data += change * weight.data * torch.randn_like(weight)
    return scoring.frozen_scorer(model.to(DTYPES[numerics]))


def pair(prompt: int, chosen: int, rejected: int) -> dict[str, list[int]]:
    """Return a pair of random tokens, so many of each."""
    draws = random.Random(chosen)
    counts = {"prompt_ids": prompt, "chosen_ids": chosen, "rejected_ids": rejected}
    return {name: [draws.randrange(3, VOCABULARY) for _ in range(count)] for name, count in counts.items()}


ROWS = [pair(20, 300, 250), pair(12, 60, 90)]


@pytest.fixture(params=DTYPES)
def numerics(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def models() -> dict[str, Any]:
    return {numerics: deep(numerics) for numerics in DTYPES}


def check(model: Any, numerics: str, layout: str) -> None:
    batch = DataCollatorForPreference(pad_token_id=0)(ROWS[:1])
    with torch.no_grad():
        require_equal_layouts(model, batch, layout, tolerance.noise(numerics, model.config))


@pytest.mark.parametrize("layout", [SHARED, SEPARATE])
def test_layouts_of_a_deep_model_and_long_replies_pass(models: dict[str, Any], numerics: str, layout: str) -> None:
    check(models[numerics], numerics, layout)


def seeing_all(module: Any, query: Any, key: Any, value: Any, mask: Any, *, pieces: Any = None, **rest: Any) -> Any:
    """As a kernel that overlooks where pieces end."""
    return attention.sdpa_attention_forward(module, query, key, value, None if pieces is not None else mask, **rest)


def off_by_one(*arguments: Any, pieces: Any = None, **rest: Any) -> Any:
    """As a kernel that aligns queries and keys one place off: a token does not see itself."""
    if pieces is None:
        return attention._sdpa(*arguments, **rest)
    module, query, key, value, _ = arguments
    return attention._sdpa(module, query, torch.roll(key, 1, 2), torch.roll(value, 1, 2), None, pieces=pieces, **rest)


@pytest.fixture(params=[seeing_all, off_by_one])
def broken(request: pytest.FixtureRequest) -> Iterator[Callable[..., Any]]:
    AttentionInterface.register("sdpa", request.param)
    yield request.param
    attention.register()


@pytest.mark.parametrize("layout", [SHARED, SEPARATE])
def test_wrong_masks_and_rows_that_see_each_other_do_not(
    models: dict[str, Any], numerics: str, layout: str, broken: Any
) -> None:
    with pytest.raises(InvariantBroken, match="differ from those of padded rows") as refusal:
        check(models[numerics], numerics, layout)
    hint = str(refusal.value.hint)
    assert "padding_free = false" in hint
    assert ("--no-share-prompt" in hint) == (layout == SHARED)  # with it, this very run would stop again


def first_step(policy: Any, reference: Any, numerics: str) -> None:
    """Take the first step of a run whose reference was scored in other batches than training's."""
    names = [str(number) for number in range(len(ROWS))]
    margins = Margins(
        0.1,
        names,
        names,
        tokens=[len(row["chosen_ids"]) + len(row["rejected_ids"]) for row in ROWS],
        noise=tolerance.noise(numerics, policy.config),
        first_rows=len(ROWS),
        reference="runs/artefacts/reference-1",
    )
    ours = scoring.pair_logps(policy, ROWS, 0, SHARED)
    alone = [scoring.pair_logps(reference, [row], 0, PADDED) for row in ROWS]
    theirs = ([scores[side][0] for scores in alone] for side in (0, 1))
    ratios = ([a - b for a, b in zip(*both, strict=True)] for both in zip(ours, theirs, strict=True))
    margins.add("train", 0, list(range(len(ROWS))), *ratios)


def test_the_first_loss_of_a_deep_model_passes(models: dict[str, Any], numerics: str) -> None:
    first_step(models[numerics], models[numerics], numerics)


def test_the_reference_of_another_model_does_not(models: dict[str, Any], numerics: str) -> None:
    """Whose weights differ by three percent."""
    with pytest.raises(InvariantBroken, match="not those of the starting weights") as refusal:
        first_step(models[numerics], deep(numerics, seed=1, change=0.03), numerics)
    hint = str(refusal.value.hint)
    assert hint.startswith("remove runs/artefacts/reference-1 and run") and 'precision = "fp32"' in hint


# ---- mixtures of experts ------------------------------------------------------------------------

MIXTURES = {
    "mixtral-8": {"kind": "mixtral", "num_local_experts": 8, "num_experts_per_tok": 2, "num_hidden_layers": 8},
    "mixtral-64": {"kind": "mixtral", "num_local_experts": 64, "num_experts_per_tok": 8, "num_hidden_layers": 8},
}
PAIRS = [pair(20, 300 + number, 250) for number in range(3)]


@pytest.fixture(scope="module")
def mixture() -> Any:
    return deep("bf16", **MIXTURES["mixtral-8"])


def noise_of_other_kernels(model: Any, monkeypatch: pytest.MonkeyPatch) -> float:
    """Return how far a token's log-prob moves, in nats, when each product is summed in two parts, as a GPU may do."""
    ids = torch.tensor([pair(300, 1, 1)["prompt_ids"]])
    whole = torch.nn.functional.linear

    def in_parts(inputs: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        half = weight.shape[1] // 2
        return whole(inputs[..., :half], weight[:, :half]) + whole(inputs[..., half:], weight[:, half:], bias)

    def logps() -> torch.Tensor:
        logits = model(input_ids=ids, use_cache=False).logits[:, :-1].float()
        return torch.log_softmax(logits, dim=-1).gather(2, ids[:, 1:, None])

    with torch.no_grad():
        before = logps()
        monkeypatch.setattr(torch.nn.functional, "linear", in_parts)
        return float((logps() - before).square().mean().sqrt())


@pytest.mark.parametrize("sizes", [{"num_hidden_layers": 8}, *MIXTURES.values()], ids=["dense", *MIXTURES])
def test_noise_is_what_arithmetic_says(sizes: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    model = deep("bf16", **sizes)
    measured, noise = noise_of_other_kernels(model, monkeypatch), tolerance.noise("bf16", model.config)
    assert noise / 2 < measured < 2 * noise
    if "kind" in sizes:
        assert measured > 1.5 * tolerance.noise("bf16", MistralConfig(num_hidden_layers=8)), "routes change"


@pytest.mark.usefixtures("broken")
def test_wrong_masks_of_a_mixture_do_not_pass(mixture: Any) -> None:
    batch = DataCollatorForPreference(pad_token_id=0)(PAIRS)
    with pytest.raises(InvariantBroken, match="differ from those of padded rows"), torch.no_grad():
        require_equal_layouts(mixture, batch, SHARED, tolerance.noise("bf16", mixture.config))


def test_the_reference_of_another_mixture_does_not(mixture: Any) -> None:
    """Whose weights differ by half; rounding moves a mixture as far as a few percent do."""
    first_step(mixture, mixture, "bf16")
    with pytest.raises(InvariantBroken, match="not those of the starting weights"):
        first_step(mixture, deep("bf16", seed=1, change=0.5, **MIXTURES["mixtral-8"]), "bf16")
