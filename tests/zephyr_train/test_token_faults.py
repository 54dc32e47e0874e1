"""What a template, a tokenizer or a row gets wrong is found by its name."""

import itertools
from pathlib import Path

import pyarrow as pa
import pytest
import trl

from tests.zephyr_train.small_chat import (
    LINES,
    dialogue_table,
    pair_table,
    small_chat,
    small_tokenizer,
    tokenize_dialogues,
    tokenize_pairs,
    turns,
)
from zephyr_core.template import Chat, Cleaned
from zephyr_train.tokenizing.keyed_rows import row_key
from zephyr_train.tokenizing.packing import IGNORED
from zephyr_train.tokenizing.token_rows import Limits
from zephyr_train.tokenizing.tokens import Tokenized
from zephyr_train.tokenizing.turn_spans import RowFault, check_bos, check_inference, render_spans

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
        (CHANGES_WHEN_LAST, "inner-reply-differs"),
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


@pytest.mark.parametrize(
    ("template", "fault"),
    [
        (LATE_PROMPT, "prompt-not-prefix"),
        (CHANGES_EARLIER, "prompt-not-prefix"),
        (CHANGES_WHEN_LAST, "inner-reply-differs"),
    ],
)
def test_a_text_that_does_not_begin_with_its_prompt_is_seen_as_it_is_rendered(template: str, fault: str):
    [rendered] = render_spans(small_chat(template), [DIALOGUE], [[2, 4]])
    assert (rendered.fault, rendered.spans) == (fault, ())


@pytest.mark.parametrize(
    ("template", "words"),
    [
        (REFUSES, "the chat template refuses the dialogue: no system turn (line 1 of the template): 1 of 1 rows"),
        (EACH + "\n\n{% if %}{% endfor %}", "Expected an expression, got 'end of statement block' (line 3 of the"),
        (EACH + "\n{{ m.x.y }}{% endfor %}", "'dict object' has no attribute 'x' (line 2 of the template)"),
        (EACH + "\n{{ m['content'] + 1 }}{% endfor %}", '"int") to str (line 2 of the template)'),
    ],
)
def test_what_jinja_says_is_shown_with_its_line(template: str, words: str):
    [fault] = tokenize_dialogues(small_chat(template), dialogue_table(DIALOGUE), LONG).faults
    assert fault.name == "template-refuses" and words in fault.message


ALTERNATES = (
    EACH + "{% if loop.last and m['role'] == 'user' %}{{ raise_exception('end with a reply') }}{% endif %}"
    "{{ m['content'] + eos_token }}{% endfor %}"
)


def test_a_template_that_refuses_a_prompt_is_told_as_such():
    [fault] = tokenize_dialogues(small_chat(ALTERNATES), dialogue_table(turns("a", "b")), LONG).faults
    assert fault.name == "template-refuses" and "of a part of the dialogue: end with a reply" in fault.message


# ---- templates of others ------------------------------------------------------------------------

LLAMA_2 = (
    EACH + "{% if m['role'] == 'user' %}{{ bos_token + '[INST] ' + m['content'] + ' [/INST]' }}"
    "{% else %}{{ ' ' + m['content'] + ' ' + eos_token }}{% endif %}{% endfor %}"
)
TRL = Path(trl.__file__).parent / "chat_templates"


def qwen_chat(name: str) -> Chat:
    tokenizer = small_tokenizer()
    tokenizer.add_special_tokens({"eos_token": "<|im_end|>", "additional_special_tokens": ["<|im_start|>"]})
    tokenizer.chat_template = (TRL / name).read_text(encoding="utf-8")
    return Chat(tokenizer, "model")


def spoken(chat: Chat, tokens: Tokenized) -> list[str]:
    """Return the texts that the loss covers, by row and reply."""
    texts = []
    for row in tokens.table.to_pylist():
        runs = itertools.groupby(zip(row["input_ids"], row["labels"], strict=True), lambda pair: pair[1] != IGNORED)
        texts += [chat.tokenizer.decode([token for token, _ in run]) for is_reply, run in runs if is_reply]
    return texts


def test_bos_at_the_head_of_each_turn_is_llama_2s_format():
    chat = small_chat(LLAMA_2)
    dialogue = turns("How long?", "Six minutes.", "Thanks.", "You are welcome!")
    tokens = tokenize_dialogues(chat, dialogue_table(dialogue), LONG)
    assert fault_names(tokens) == []
    [row] = tokens.table.to_pylist()
    bos = chat.tokenizer.bos_token_id
    assert row["input_ids"].count(bos) == 2 and row["input_ids"][0] == bos
    assert row["input_ids"] == chat.tokenizer.apply_chat_template(dialogue, tokenize=True, return_dict=False)
    assert spoken(chat, tokens) == [" Six minutes. </s>", " You are welcome! </s>"]
    assert fault_names(tokenize_pairs(chat, pair_table(PAIR), LONG)) == []


@pytest.mark.parametrize("ids", [[1, 1, 5, 2], [1, 5, 1, 2], [5, 1, 2]])
def test_bos_anywhere_else_is_a_fault(ids: list[int]):
    check_bos([1, 5, 2, 1, 5, 2], bos=1, eos=2)
    with pytest.raises(RowFault, match="double-bos"):
        check_bos(ids, bos=1, eos=2)


def test_qwen3s_inner_replies_are_refused_with_the_true_reason_and_its_training_template_is_right():
    single, several = turns("How long?", "Six."), turns("How long?", "Six.", "Thanks.", "You are welcome!")
    chat = qwen_chat("qwen3.jinja")
    assert fault_names(tokenize_dialogues(chat, dialogue_table(single), LONG)) == []
    [fault] = tokenize_dialogues(chat, dialogue_table(several), LONG).faults
    assert fault.name == "inner-reply-differs" and "'<think>" in fault.message
    assert "qwen3_training.jinja" in fault.hint
    chat = qwen_chat("qwen3_training.jinja")
    tokens = tokenize_dialogues(chat, dialogue_table(several), LONG)
    assert fault_names(tokens) == []
    think = "<think>\n\n</think>\n\n"
    assert spoken(chat, tokens) == [f"{think}Six.<|im_end|>", f"{think}You are welcome!<|im_end|>"]


# ---- a handful of faulty rows -------------------------------------------------------------------

DROP = Limits(10_000, 5_000, "cut-prompt", on_faulty="drop")


def mixed(good: int, bad: int) -> list[list[dict[str, str]]]:
    return [turns(f"{number}?", "yes") for number in range(good)] + [
        turns(f"bad {number}?", "yes", system="Be brief.") for number in range(bad)
    ]


def test_a_handful_of_faulty_rows_is_left_out_by_name_and_on_record():
    rows = mixed(38, 2)
    tokens = tokenize_dialogues(small_chat(REFUSES), dialogue_table(*rows), DROP)
    assert fault_names(tokens) == []
    counts = tokens.counts
    assert (counts["read_rows"], counts["kept_rows"], counts["faulty_rows"]) == (40, 38, 0)
    assert counts["dropped_template_refuses_rows"] == 2
    lines = tokens.changed.to_pylist()
    assert {line["key"] for line in lines} == {row_key([row]) for row in rows[38:]}
    assert {(line["what"], line["before_tokens"]) for line in lines} == {("dropped-template-refuses", None)}
    [fault] = tokenize_dialogues(small_chat(REFUSES), dialogue_table(*rows), LONG).faults
    assert "leave these rows out with `--on-faulty drop`" in fault.hint


def test_more_than_a_handful_is_a_fault_all_the_same():
    [fault] = tokenize_dialogues(small_chat(REFUSES), dialogue_table(*mixed(37, 3)), DROP).faults
    assert fault.name == "template-refuses" and "3 of 40 rows" in fault.message
    assert "more than the 5% of the rows" in fault.hint
    assert "on-faulty" not in tokenize_dialogues(small_chat(REFUSES), dialogue_table(*mixed(1, 9)), LONG).faults[0].hint


def test_a_fault_of_zephyr_or_of_an_option_is_never_left_out(monkeypatch):
    chat = small_chat()
    long = Limits(4, 2, "error", on_faulty="drop")
    assert fault_names(tokenize_pairs(chat, pair_table(PAIR), long)) == ["overlong"]
    encode = chat.encode
    monkeypatch.setattr(chat, "encode", lambda texts: encode([text.replace("egg", "ham") for text in texts]))
    assert fault_names(tokenize_dialogues(chat, dialogue_table(DIALOGUE), DROP)) == ["inference-differs"]


def test_a_pair_of_two_messages_can_be_left_out_too():
    table = pair_table(*[(f"{number}?", "Yes.", "No.") for number in range(20)])
    chosen = table["chosen"].to_pylist()
    chosen[3] = turns("x", "y")
    table = table.set_column(2, "chosen", pa.array(chosen, table.schema.field("chosen").type))
    tokens = tokenize_pairs(small_chat(), table, DROP)
    assert fault_names(tokens) == [] and tokens.counts["dropped_not_one_reply_rows"] == 1


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
