"""Token rows: the ids of inference, and labels on replies to their EOS."""

from tests.zephyr_train.small_chat import (
    dialogue_table,
    pair_table,
    sentencepiece_tokenizer,
    small_chat,
    tokenize_dialogues,
    tokenize_pairs,
    turns,
)
from zephyr_core.template import ZEPHYR_TEMPLATE, Chat
from zephyr_train.tokenizing.packing import IGNORED
from zephyr_train.tokenizing.token_rows import Limits
from zephyr_train.tokenizing.turn_spans import render_spans

LONG = Limits(10_000, 5_000, "cut-prompt")
DIALOGUE = turns("How do I boil an egg?", "In water.\n\nHot water!", "Thanks.", "You are welcome!", system="Be brief.")
PAIR = ("How long?", "Six minutes, in hot water.", "No.")


def labelled(chat: Chat, row: dict) -> str:
    """The text with a loss, a bar before each piece."""
    text = ""
    for number, label in enumerate(row["labels"]):
        begins = label != IGNORED and (number == 0 or row["labels"][number - 1] == IGNORED)
        text += ("|" if begins else "") + ("" if label == IGNORED else chat.tokenizer.decode([label]))
    return text


def test_replies_and_their_eos_have_a_loss_and_nothing_else():
    chat = small_chat()
    [row] = tokenize_dialogues(chat, dialogue_table(DIALOGUE), LONG).table.to_pylist()
    assert labelled(chat, row) == "|In water.\n\nHot water!</s>|You are welcome!</s>"
    assert row["input_ids"] == chat.encode([chat.render(DIALOGUE, generation=False)])[0].ids
    assert all(label in (token, IGNORED) for token, label in zip(row["input_ids"], row["labels"], strict=True))


def test_the_line_break_behind_the_last_eos_is_in_the_row_and_not_in_the_loss():
    chat = small_chat()
    [row] = tokenize_dialogues(chat, dialogue_table(turns("a", "b")), LONG).table.to_pylist()
    assert chat.tokenizer.decode(row["input_ids"]).endswith("b</s>\n")
    assert row["labels"][-2:] == [chat.tokenizer.eos_token_id, IGNORED]


def test_with_loss_on_all_every_token_is_a_label():
    [row] = tokenize_dialogues(
        small_chat(), dialogue_table(DIALOGUE), Limits(999, None, "drop", "all")
    ).table.to_pylist()
    assert row["labels"] == row["input_ids"]


def test_labels_are_those_of_the_generation_markers_as_trl_reads_them():
    from trl.data_utils import _tokenize

    chat = small_chat()
    [row] = tokenize_dialogues(chat, dialogue_table(DIALOGUE), LONG).table.to_pylist()
    theirs = _tokenize(chat.tokenizer, DIALOGUE, return_assistant_tokens_mask=True)
    assert row["input_ids"] == theirs["input_ids"]
    assert [label != IGNORED for label in row["labels"]] == [mask == 1 for mask in theirs["assistant_masks"]]


def test_a_tokenizer_as_mistrals_gives_the_same_replies():
    chat = Chat(sentencepiece_tokenizer())
    dialogue = turns("How hot?", "Hot  water \n é!", " é", " water\n  x")
    tokens = tokenize_dialogues(chat, dialogue_table(dialogue), LONG)
    [row] = tokens.table.to_pylist()
    cleaned, _ = chat.clean(dialogue)
    assert row["input_ids"] == chat.tokenizer.apply_chat_template(cleaned, return_dict=True)["input_ids"]
    starts = [at for at, label in enumerate(row["labels"]) if label != IGNORED and row["labels"][at - 1] == IGNORED]
    replies = [chat.tokenizer.decode(row["labels"][at : row["labels"].index(IGNORED, at)]) for at in starts]
    assert replies == ["Hot  water \n é!</s>", "water\n  x</s>"]
    assert [chat.tokenizer.convert_ids_to_tokens(row["labels"][at]) for at in starts] == ["H", "w"]
    pairs = tokenize_pairs(chat, pair_table(PAIR, ("é", " water", "é")), LONG)
    assert (pairs.faults, pairs.counts["kept_rows"]) == ([], 2)


def test_pairs_have_the_ids_of_trl_but_end_at_their_eos():
    from trl.data_utils import _tokenize, common_prefix_length

    chat = small_chat()
    [row] = tokenize_pairs(chat, pair_table(PAIR), LONG).table.to_pylist()
    prompt = _tokenize(chat.tokenizer, turns(PAIR[0]), add_generation_prompt=True)["input_ids"]
    for name, reply in zip(("chosen_ids", "rejected_ids"), PAIR[1:], strict=True):
        whole = _tokenize(chat.tokenizer, turns(PAIR[0], reply))["input_ids"]
        assert common_prefix_length(prompt, whole) == len(prompt)
        assert row["prompt_ids"] == prompt
        assert row["prompt_ids"] + row[name] + chat.encode(["\n"])[0].ids == whole
        assert row[name].index(chat.tokenizer.eos_token_id) == len(row[name]) - 1
    assert [row[name] for name in ("prompt_tokens", "chosen_tokens", "rejected_tokens")] == [
        len(row[name]) for name in ("prompt_ids", "chosen_ids", "rejected_ids")
    ]


def test_spans_counted_for_zephyr_are_those_found_by_rendering():
    dialogues = dialogue_table(DIALOGUE, turns("é\n", "ü 🙂 ", "</s>", "\n<|user|>\n"), turns("", ""))
    pairs = pair_table(PAIR, ("<|user|>", "</s>", "\n\nyes"))
    counted, rendered = small_chat(), small_chat(ZEPHYR_TEMPLATE)
    rendered.clean = counted.clean
    texts = [DIALOGUE, turns("é\n", "ü 🙂 ", "</s", ""), turns("", "")]
    places = [[2, 4], [1, 3], [1]]
    assert render_spans(counted, texts, places) == render_spans(rendered, texts, places)
    for kind, table in ((tokenize_dialogues, dialogues), (tokenize_pairs, pairs)):
        assert kind(counted, table, LONG).table.equals(kind(rendered, table, LONG).table)
        assert kind(counted, table, LONG).table.num_rows == table.num_rows
