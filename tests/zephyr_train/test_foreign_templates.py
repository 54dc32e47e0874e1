"""Templates of others: those that TRL ships, rendered with a small tokenizer, and what only some of them do."""

import datetime
from pathlib import Path
from typing import Any

import pytest
import trl
from transformers import AutoTokenizer
from transformers.utils import chat_template_utils

from tests.zephyr_train import mistral
from tests.zephyr_train.small_chat import (
    dialogue_table,
    pair_table,
    small_chat,
    small_tokenizer,
    tokenize_dialogues,
    tokenize_pairs,
    turns,
)
from zephyr_core.template import DAY, Chat
from zephyr_train.tokenizing.packing import IGNORED
from zephyr_train.tokenizing.token_rows import Limits
from zephyr_train.tokenizing.token_sets import token_set_digest

LONG = Limits(10_000, 5_000, "cut-prompt")
TRL = Path(trl.__file__).parent / "chat_templates"
NAMES = sorted(path.stem for path in TRL.glob("*.jinja"))
ENDS = ("<|im_end|>", "<|eot_id|>", "<end_of_turn>", "<|end|>", "<end_of_utterance>", "<|END_OF_TURN_TOKEN|>")
EACH = "{% for m in messages %}"
PLAIN = (
    EACH
    + "{{ m['role'] + ':' + m['content'] + eos_token }}{% endfor %}"
    + ("{% if add_generation_prompt %}assistant:{% endif %}")
)
ONE = turns("What is tea?", "A drink.")
TWO = turns("What is tea?", "A drink.", "Is it hot?", "Yes, hot.")
# Fault of a dialogue with one reply, and of one with two.
RIGHT = (None, None)
OPENS_THINKING = ("prompt-not-prefix", "prompt-not-prefix")
NO_END = ("eos-not-in-loss", "eos-not-in-loss")
WANTS_PARTS = ("text-not-rendered", "text-not-rendered")
# Family → outcome; its training template, and its versions, are like it unless they stand here too.
OUTCOMES: dict[str, tuple[str | None, str | None]] = {
    **dict.fromkeys(("cohere", "cohere2", "gemma", "gemma3", "lfm2", "llama3", "llama3_1", "llama3_2"), RIGHT),
    **dict.fromkeys(("qwen2_5", "qwen3_8", "qwen3_instruct_2507", "qwen3_vl", "qwen3_training"), RIGHT),
    **dict.fromkeys(("qwen3_5_nothink_training", "qwen3_5_think_training", "qwen3_6_training"), RIGHT),
    **dict.fromkeys(("deepseek_r1_distill", "deepseekv3", "nemotron_3"), OPENS_THINKING),
    **dict.fromkeys(("qwen3_5_nothink", "qwen3_5_think", "qwen3_6"), (None, "prompt-not-prefix")),
    "qwen3": (None, "inner-reply-differs"),
    **dict.fromkeys(("diffusion_gemma", "gemma4", "glm4moe", "muse_glimmer"), NO_END),
    "gptoss": ("eos-not-in-loss", "inner-reply-differs"),  # the last reply ends otherwise than those before it
    **dict.fromkeys(("idefics3", "smolvlm"), WANTS_PARTS),
    "llava_next": ("template-refuses", "template-refuses"),
    **dict.fromkeys(("phi3", "phi3_5"), ("two-eos", "inner-reply-differs")),
}


def outcome(name: str) -> tuple[str | None, str | None]:
    """Return the outcome of the longest family that a template's name begins with."""
    family = max((family for family in OUTCOMES if name.startswith(family)), key=len, default=None)
    if family is None:
        pytest.skip(f"TRL's {name} is not known here")
    return OUTCOMES[family]


def chat_of(name: str, tokenizer: Any) -> Chat:
    tokenizer.chat_template = (TRL / f"{name}.jinja").read_text(encoding="utf-8")
    end = next((end for end in ENDS if end in tokenizer.chat_template), None)
    if end is not None:
        tokenizer.add_special_tokens({"eos_token": end})
    return Chat(tokenizer, "model")


def expected_labels(chat: Chat, dialogue: list[dict[str, str]], ids: list[int]) -> list[int]:
    """Return the labels by another way: from where a prompt's own tokens end to the next EOS."""
    labels = [IGNORED] * len(ids)
    for turn in (1, 3)[: len(dialogue) // 2]:
        start = len(chat.apply(dialogue[:turn], generation=True, tokenize=True, return_dict=False))
        stop = ids.index(chat.tokenizer.eos_token_id, start) + 1
        labels[start:stop] = ids[start:stop]
    return labels


def check(name: str, tokenizer: Any) -> None:
    chat = chat_of(name, tokenizer)
    for dialogue, fault in zip((ONE, TWO), outcome(name), strict=True):
        tokens = tokenize_dialogues(chat, dialogue_table(dialogue), LONG)
        assert [each.name for each in tokens.faults] == [fault] * (fault is not None)
        for row in tokens.table.to_pylist():
            assert row["input_ids"] == chat.apply(dialogue, generation=False, tokenize=True, return_dict=False)
            assert row["labels"] == expected_labels(chat, dialogue, row["input_ids"])
            for message in dialogue[1::2]:
                assert message["content"] in chat.tokenizer.decode(row["input_ids"])


@pytest.mark.parametrize("name", NAMES)
def test_a_template_of_trls_trains_what_inference_asks_for_or_is_refused_by_name(name: str) -> None:
    check(name, small_tokenizer())


@pytest.fixture(scope="module")
def mistral_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return mistral.build(tmp_path_factory.mktemp("mistral") / "model")


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in NAMES if name in OUTCOMES])
def test_so_it_does_with_mistrals_own_pieces(name: str, mistral_folder: Path) -> None:
    check(name, AutoTokenizer.from_pretrained(mistral_folder))


WANTS_LISTS = EACH + "{% for part in m['content'] %}{{ part['text'] }}{% endfor %}{{ eos_token }}{% endfor %}"
DROPS_THINKING = PLAIN.replace("m['content']", "m['content'].split('</think>')[-1]")
ENDS_TWICE = PLAIN.replace("+ eos_token", "+ eos_token + eos_token")
DROPS_USER = PLAIN.replace("m['content']", "('' if m['role'] == 'user' else m['content'])")


@pytest.mark.parametrize(
    ("template", "reply", "fault"),
    [
        (WANTS_LISTS, "Six.", "text-not-rendered"),
        (DROPS_USER, "Six.", "text-not-rendered"),
        (DROPS_THINKING, "<think>An egg.</think>Six.", "text-not-rendered"),
        (DROPS_THINKING, "Six.", None),
        (PLAIN.replace("m['content']", "m['content'] | trim"), " Six. ", None),
        (ENDS_TWICE, "Six.", "two-eos"),
    ],
)
def test_each_text_stands_in_what_is_rendered_and_a_reply_ends_once(
    template: str, reply: str, fault: str | None
) -> None:
    chat = small_chat(template)
    found = tokenize_dialogues(chat, dialogue_table(turns("How long?", reply)), LONG).faults
    assert [each.name for each in found] == [fault] * (fault is not None)
    if fault == "text-not-rendered":
        assert ("turn 0, 'How long?'" if template != DROPS_THINKING else f"turn 1, {reply!r}") in found[0].message
    [*of_pairs] = tokenize_pairs(chat, pair_table(("How long?", reply, "No.")), LONG).faults
    if fault != "two-eos":  # of a pair's reply, the first EOS is its end
        assert [each.name for each in of_pairs] == [fault] * (fault is not None)


def test_tokens_do_not_depend_on_the_day(monkeypatch: pytest.MonkeyPatch) -> None:
    template = "{{ strftime_now('%d %b %Y') }} " + PLAIN
    rows = []
    for day in ((2026, 11, 30), (2027, 3, 1)):

        class Clock(datetime.datetime):
            @classmethod
            def now(cls, tz: Any = None, day: tuple[int, int, int] = day) -> "Clock":
                return cls(*day, tzinfo=tz)

        monkeypatch.setattr(chat_template_utils, "datetime", Clock)
        chat = small_chat(template)
        assert chat.tokenizer.apply_chat_template(ONE, tokenize=False).startswith(f"{day[2]:02}"), "the day's own"
        rows.append(tokenize_dialogues(chat, dialogue_table(ONE), LONG).table.to_pylist())
        assert chat_template_utils.datetime is Clock
    assert rows[0] == rows[1]
    assert chat.render(ONE, generation=False).startswith(DAY.strftime("%d %b %Y"))
    assert (chat.day, chat.record()["day"]) == ("2024-07-26", "2024-07-26")
    assert small_chat(PLAIN).record()["day"] is None


def test_the_day_is_part_of_the_digest_where_it_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    class Rows:
        digest, kind = "rows", "dialogues"

    digests: list[list[str]] = [[], []]
    for day in (DAY, datetime.date(2025, 1, 1)):
        monkeypatch.setattr("zephyr_core.template.DAY", day)
        for place, template in enumerate(("{{ strftime_now('%Y') }}" + PLAIN, PLAIN)):
            digests[place].append(token_set_digest(Rows(), small_chat(template), LONG))  # type: ignore[arg-type]
    assert digests[0][0] != digests[0][1] and digests[1][0] == digests[1][1]
