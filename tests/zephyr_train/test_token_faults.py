"""What a template, a tokenizer or a row gets wrong is found by its name."""

import pyarrow as pa
import pytest

from tests.zephyr_train.small_chat import (
    LINES,
    dialogue_table,
    pair_table,
    small_chat,
    tokenize_dialogues,
    tokenize_pairs,
    turns,
)
from zephyr_core.template import Cleaned
from zephyr_train.tokenizing.keyed_rows import row_key
from zephyr_train.tokenizing.token_rows import Limits
from zephyr_train.tokenizing.tokens import Tokenized
from zephyr_train.tokenizing.turn_spans import RowFault, check_inference, render_spans

LONG = Limits(10_000, 5_000, "cut-prompt")
DIALOGUE = turns("How do I boil an egg?", "In water.\n\nHot water!", "Thanks.", "You are welcome!", system="Be brief.")
PAIR = ("How long?", "Six minutes, in hot water.", "No.")

# Templates that get one thing wrong.
EACH = "{% for m in messages %}"
TWO_BOS = "{{ bos_token }}" + EACH + "{{ bos_token + m['role'] + ':' + m['content'] + eos_token }}{% endfor %}"
NO_EOS = (
    EACH + "[{{ m['role'] }}]\n{{ m['content'] }}\n{% endfor %}{% if add_generation_prompt %}[assistant]\n{% endif %}"
)
CHANGES_WHEN_LAST = (
    EACH
    + "{{ m['content'] }}{% if m['role'] == 'assistant' and not loop.last %}!{% endif %}{{ eos_token }}{% endfor %}"
)
LATE_PROMPT = (
    "{% if add_generation_prompt %}{{ 'Now. ' }}{% endif %}" + EACH + "{{ m['content'] + eos_token }}{% endfor %}"
)
CHANGES_EARLIER = "{{ messages | length }}" + EACH + "{{ m['content'] + eos_token }}{% endfor %}"
ONE_BOS = (
    "{{ bos_token }}" + EACH + "{{ '[' + m['role'] + ']' + m['content'] + eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)
REFUSES = (
    EACH + "{% if m['role'] == 'system' %}{{ raise_exception('no system turn') }}{% endif %}"
    "{{ m['content'] + eos_token }}{% endfor %}"
)


def fault_names(tokens: Tokenized) -> list[str]:
    return [fault.name for fault in tokens.faults]


@pytest.mark.parametrize(
    ("template", "fault"),
    [
        (TWO_BOS, "double-bos"),
        (NO_EOS, "eos-not-in-loss"),
        (LATE_PROMPT, "prompt-not-prefix"),
        (CHANGES_EARLIER, "prompt-not-prefix"),
        (CHANGES_WHEN_LAST, "prompt-not-prefix"),
        (REFUSES, "template-refuses"),
    ],
)
def test_what_a_template_gets_wrong_is_found_by_name(template: str, fault: str):
    chat = small_chat(template)
    tokens = tokenize_dialogues(chat, dialogue_table(DIALOGUE), LONG)
    assert fault_names(tokens) == [fault]
    assert (tokens.counts["faulty_rows"], tokens.table.num_rows) == (1, 0)
    key = row_key([DIALOGUE])
    assert "1 of 1 rows" in tokens.faults[0].message
    assert key[:16] in tokens.faults[0].message
    if template in (TWO_BOS, NO_EOS, LATE_PROMPT):
        assert fault_names(tokenize_pairs(chat, pair_table(PAIR), LONG)) == [fault]


@pytest.mark.parametrize("template", [LATE_PROMPT, CHANGES_EARLIER, CHANGES_WHEN_LAST])
def test_a_text_that_does_not_begin_with_its_prompt_is_seen_as_it_is_rendered(template: str):
    [rendered] = render_spans(small_chat(template), [DIALOGUE], [[2, 4]])
    assert (rendered.fault, rendered.spans) == ("prompt-not-prefix", ())


def test_the_prompt_of_inference_is_compared_too():
    chat = small_chat()
    ids = chat.encode([chat.render(DIALOGUE, generation=False)])[0].ids
    start = len(chat.encode([chat.render(DIALOGUE[:2], generation=True)])[0].ids)
    check_inference(chat, DIALOGUE, ids, start, 2)
    with pytest.raises(RowFault, match="prompt-not-prefix"):
        check_inference(chat, DIALOGUE, ids, start + 1, 2)


def test_an_eos_that_the_tokenizer_takes_for_text_is_found():
    chat = small_chat()
    chat.tokenizer.split_special_tokens = True
    assert fault_names(tokenize_dialogues(chat, dialogue_table(DIALOGUE), LONG)) == ["eos-not-in-loss"]


def test_both_sides_of_a_pair_must_have_the_same_prompt(monkeypatch):
    chat = small_chat()
    encode = chat.encode
    monkeypatch.setattr(
        chat, "encode", lambda texts: encode([t.replace("egg", "ham") if "No" in t else t for t in texts])
    )
    tokens = tokenize_pairs(chat, pair_table(("1 egg?", "Yes", "No"), ("2 egg?", "Yes", "No")), LONG)
    assert sorted(fault_names(tokens)) == [
        "inference-differs",
        "prompt-not-prefix",
    ]  # of the first row every token is held


def test_one_bos_at_the_beginning_is_no_fault():
    chat = small_chat(ONE_BOS)
    [row] = tokenize_dialogues(chat, dialogue_table(DIALOGUE), LONG).table.to_pylist()
    assert row["input_ids"].index(chat.tokenizer.bos_token_id) == 0
    assert tokenize_pairs(chat, pair_table(PAIR), LONG).faults == []


def test_only_the_rows_that_a_template_refuses_are_faulty():
    tokens = tokenize_dialogues(small_chat(REFUSES), dialogue_table(DIALOGUE, turns("a", "b"), turns("c", "d")), LONG)
    assert (tokens.counts["faulty_rows"], tokens.counts["kept_rows"]) == (1, 2)


@pytest.mark.parametrize("trim", [True, False])
def test_a_token_across_the_beginning_of_a_reply_is_found(trim: bool, monkeypatch):
    """Cleaning takes the white space away that leads to it; here it is left out."""
    chat = small_chat(texts=[LINES] * 9, trim=trim)
    monkeypatch.setattr(chat, "clean", lambda messages: (list(messages), Cleaned()))
    assert len(chat.encode(["\n "])[0].ids) == 1, "the tokenizer has not learned the token that this test needs"
    faulty, fine = turns("Code?", "  x"), turns("Code?", " x")
    tokens = tokenize_dialogues(chat, dialogue_table(faulty, fine), LONG)
    assert fault_names(tokens) == ["prompt-not-prefix"]
    assert tokens.table["key"].to_pylist() == [row_key([fine])]
    pairs = tokenize_pairs(chat, pair_table(("Code?", "x", "  x"), ("Code?", "x", " x")), LONG)
    assert (fault_names(pairs), pairs.counts["kept_rows"]) == (["prompt-not-prefix"], 1)


def test_ids_that_inference_would_not_get_are_found(monkeypatch):
    chat = small_chat()
    encode = chat.encode
    monkeypatch.setattr(chat, "encode", lambda texts: encode([text.replace("egg", "ham") for text in texts]))
    assert fault_names(tokenize_dialogues(chat, dialogue_table(DIALOGUE), LONG)) == ["inference-differs"]


def test_a_completion_of_two_messages_is_a_fault():
    table = pair_table(PAIR)
    two = pa.array([turns("x", "y")], table.schema.field("chosen").type)
    assert fault_names(tokenize_pairs(small_chat(), table.set_column(2, "chosen", two), LONG)) == ["not-one-reply"]
