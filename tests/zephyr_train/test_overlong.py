"""Rows too long, without a loss or without a difference: cut, dropped or refused as told, and each of them counted."""

from collections.abc import Callable

import pytest

from tests.zephyr_train.small_chat import (
    dialogue_table,
    pair_table,
    small_chat,
    tokenize_dialogues,
    tokenize_pairs,
    turns,
)
from zephyr_train.tokenizing.packing import IGNORED
from zephyr_train.tokenizing.token_rows import Limits
from zephyr_train.tokenizing.tokens import Tokenized

FREE = Limits(10_000, 5_000, "cut-prompt")
SHORT, LONG = ("Q?", "aaaa", "b"), ("Question " * 9, "Answer " * 9, "No. " * 12)


def names(tokens: Tokenized) -> list[str]:
    return [fault.name for fault in tokens.faults]


def changes(tokens: Tokenized) -> list[tuple[str, int, int]]:
    return [(line["what"], line["before_tokens"], line["after_tokens"]) for line in tokens.changed.to_pylist()]


def counts(tokens: Tokenized, *kinds: str) -> list[int]:
    return [tokens.counts[f"{name}_rows"] for name in kinds]


def lengths(*pair: str) -> tuple[int, int, int]:
    """The tokens of prompt, chosen and rejected."""
    [row] = tokenize_pairs(small_chat(), pair_table(pair), FREE).table.to_pylist()
    return row["prompt_tokens"], row["chosen_tokens"], row["rejected_tokens"]


def test_a_prompt_keeps_its_end_and_completions_their_beginning():
    prompt, chosen, rejected = lengths(*LONG)
    whole, cut = (
        tokenize_pairs(small_chat(), pair_table(LONG, SHORT), limits) for limits in (FREE, Limits(40, 12, "cut-prompt"))
    )
    [before] = [row for row in whole.table.to_pylist() if row["prompt_tokens"] == prompt]
    [after] = [row for row in cut.table.to_pylist() if row["key"] == before["key"]]
    assert after["prompt_ids"] == before["prompt_ids"][-12:]
    assert after["chosen_ids"] == before["chosen_ids"][:28]
    assert after["rejected_ids"] == before["rejected_ids"][:28]
    assert changes(cut) == [("prompt-cut", prompt, 12), ("chosen-cut", chosen, 28), ("rejected-cut", rejected, 28)]
    assert counts(cut, "read", "kept", "overlong", "prompt_cut", "completion_cut", "no_eos") == [2, 2, 1, 1, 1, 1]
    assert cut.counts["tokens"] == cut.table["prompt_tokens"].to_numpy().sum() + sum(
        cut.table[name].to_numpy().sum() for name in ("chosen_tokens", "rejected_tokens")
    )
    assert names(cut) == []


ONE_BOS = (
    "{{ bos_token }}{% for m in messages %}[{{ m['role'] }}]{{ m['content'] + eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)


@pytest.mark.parametrize("length", [1, 2, 12])
def test_a_cut_prompt_keeps_its_bos(length: int):
    chat = small_chat(ONE_BOS)
    whole, cut = (tokenize_pairs(chat, pair_table(LONG), limits) for limits in (FREE, Limits(40, length, "cut-prompt")))
    [before], [after] = whole.table.to_pylist(), cut.table.to_pylist()
    bos = chat.tokenizer.bos_token_id
    assert before["prompt_ids"][0] == bos and len(after["prompt_ids"]) == length
    assert after["prompt_ids"] == [bos, *before["prompt_ids"][len(before["prompt_ids"]) - length + 1 :]]


def test_the_longer_completion_decides_and_a_pair_that_just_fits_is_untouched():
    prompt, chosen, rejected = lengths(*LONG)
    fits, is_longer = prompt + chosen, prompt + chosen - 1
    assert chosen > rejected
    assert tokenize_pairs(small_chat(), pair_table(LONG), Limits(fits, 1, "cut-prompt")).changed.num_rows == 0
    cut = tokenize_pairs(small_chat(), pair_table(LONG), Limits(is_longer, prompt - 1, "cut-prompt"))
    assert changes(cut) == [("prompt-cut", prompt, prompt - 1)]
    assert counts(cut, "completion_cut", "no_eos", "kept") == [0, 0, 1]


def test_a_prompt_within_its_length_is_not_cut_and_the_shorter_completion_keeps_its_eos():
    prompt, chosen, rejected = lengths(*LONG)
    chat = small_chat()
    limits = Limits(prompt + rejected, prompt, "cut-prompt")
    cut = tokenize_pairs(chat, pair_table(LONG, SHORT), limits)
    assert changes(cut) == [("chosen-cut", chosen, rejected)]
    assert counts(cut, "prompt_cut", "completion_cut", "no_eos") == [0, 1, 1]
    turned = tokenize_pairs(chat, pair_table((LONG[0], LONG[2], LONG[1]), SHORT), limits)
    assert counts(turned, "prompt_cut", "completion_cut", "no_eos") == [0, 1, 1]
    [row] = [row for row in cut.table.to_pylist() if row["prompt_tokens"] == prompt]
    eos = chat.tokenizer.eos_token_id
    assert (row["rejected_ids"][-1] == eos, row["chosen_ids"][-1] == eos) == (True, False)


def test_drop_takes_the_row_and_lists_it():
    prompt, chosen, _ = lengths(*LONG)
    tokens = tokenize_pairs(small_chat(), pair_table(LONG, SHORT), Limits(prompt + chosen - 1, 9, "drop"))
    assert counts(tokens, "read", "kept", "dropped_overlong") == [2, 1, 1]
    assert changes(tokens) == [("dropped-overlong", prompt + chosen, 0)]
    assert names(tokens) == []


@pytest.mark.parametrize("kind", ["pairs", "dialogues"])
def test_error_refuses_by_name(kind: str):
    find, table = {
        "pairs": (tokenize_pairs, pair_table(LONG, SHORT)),
        "dialogues": (tokenize_dialogues, dialogue_table(turns(*LONG[:2]), turns(*SHORT[:2]))),
    }[kind]
    tokens = find(small_chat(), table, Limits(35, 9, "error"))
    assert names(tokens) == ["overlong"]
    assert counts(tokens, "faulty", "kept") == [1, 1]
    assert "max_length 35" in tokens.faults[0].message


def test_a_pair_without_a_difference_is_dropped():
    prompt, chosen, _ = lengths(*LONG)
    same_head = (LONG[0], LONG[1] + "one", LONG[1] + "two")
    tokens = tokenize_pairs(
        small_chat(), pair_table(same_head, ("Q?", "x", "x"), SHORT), Limits(prompt + chosen - 2, prompt, "cut-prompt")
    )
    assert counts(tokens, "read", "kept", "dropped_equal_after_cut") == [3, 1, 2]
    assert [line[0] for line in changes(tokens)].count("dropped-equal-after-cut") == 2


@pytest.mark.parametrize(("policy", "outcome"), [("cut-prompt", "lose their EOS"), ("drop", "are dropped")])
@pytest.mark.parametrize("kind", ["pairs", "dialogues"])
def test_all_rows_overlong_is_a_fault(kind: str, policy: str, outcome: str):
    one = {
        "pairs": lambda *rows: tokenize_pairs(small_chat(), pair_table(*rows), Limits(35, 9, policy)),
        "dialogues": lambda *rows: tokenize_dialogues(
            small_chat(), dialogue_table(*(turns(*row[:2]) for row in rows)), Limits(35, None, policy)
        ),
    }[kind]
    assert names(one(LONG, SHORT)) == []
    assert names(one(LONG, (LONG[0] + "!", *LONG[1:]))) == ["all-overlong"]
    assert outcome in one(LONG).faults[0].message


def test_a_dialogue_keeps_its_first_tokens():
    chat = small_chat()
    dialogue = turns("Q?", "Yes.", "And then?", "Answer " * 20)
    [whole] = tokenize_dialogues(chat, dialogue_table(dialogue), FREE).table.to_pylist()
    room = len(whole["input_ids"]) - 10
    cut = tokenize_dialogues(chat, dialogue_table(dialogue, turns("a", "b")), Limits(room, None, "cut"))
    [row] = [row for row in cut.table.to_pylist() if row["key"] == whole["key"]]
    assert (row["input_ids"], row["labels"]) == (whole["input_ids"][:room], whole["labels"][:room])
    assert counts(cut, "overlong", "cut", "no_eos", "kept") == [1, 1, 0, 2]
    assert changes(cut) == [("cut", room + 10, room)]
    fits = tokenize_dialogues(chat, dialogue_table(dialogue), Limits(room + 10, None, "drop"))
    assert counts(fits, "overlong", "kept") == [0, 1]


def test_a_dialogue_that_packing_will_split_is_whole():
    dialogue = turns(*LONG[:2])
    tokens = tokenize_dialogues(small_chat(), dialogue_table(dialogue), Limits(25, None, "split", packed=True))
    whole = tokenize_dialogues(small_chat(), dialogue_table(dialogue), FREE)
    assert tokens.table.equals(whole.table)
    assert counts(tokens, "overlong", "kept") == [1, 1]
    assert names(tokens) == []


def test_turns_behind_the_last_reply_are_cut_off():
    cut, without = (
        tokenize_dialogues(small_chat(), dialogue_table(dialogue, turns("a", "b")), FREE)
        for dialogue in (turns("Q?", "A.", "Thanks.") + turns("Bye."), turns("Q?", "A."))
    )
    assert sorted(map(tuple, cut.table["input_ids"].to_pylist())) == sorted(
        map(tuple, without.table["input_ids"].to_pylist())
    )
    assert counts(cut, "trailing_turn", "kept") == [1, 2]
    assert [line[0] for line in changes(cut)] == ["trailing-turns-cut"]


def test_a_dialogue_without_loss_is_dropped():
    prompt_alone = turns("Question " * 30, "A.")
    limits = Limits(35, None, "cut")
    tokens = tokenize_dialogues(
        small_chat(), dialogue_table(turns("Nobody there?"), prompt_alone, turns("a", "b")), limits
    )
    assert counts(tokens, "read", "kept", "dropped_no_loss") == [3, 1, 2]
    assert set(tokens.table["labels"].to_pylist()[0]) != {IGNORED}


def test_a_label_on_the_first_token_is_no_loss():
    chat = small_chat("{% for m in messages %}{{ m['content'] + eos_token }}{% endfor %}")
    alone = [{"role": "assistant", "content": ""}]
    assert counts(tokenize_dialogues(chat, dialogue_table(alone), FREE), "kept", "dropped_no_loss") == [0, 1]


def test_no_row_left_is_a_fault():
    assert names(tokenize_dialogues(small_chat(), dialogue_table(turns("Nobody?")), FREE)) == ["no-rows"]
    assert names(tokenize_pairs(small_chat(), pair_table(("Q?", "x", "x")), FREE)) == ["no-rows"]


def test_escaped_and_stripped_rows_are_counted_and_listed():
    dialogues = tokenize_dialogues(small_chat(), dialogue_table(turns("</s><s>", "\n\na"), turns("a", "b")), FREE)
    pairs = tokenize_pairs(small_chat(), pair_table(("Q?", "\nx", "</s>"), ("<s>", "a", "b"), SHORT), FREE)
    assert counts(dialogues, "escaped", "stripped") == [1, 1]
    assert counts(pairs, "escaped", "stripped") == [2, 1]
    assert changes(dialogues) == [("escaped", None, None), ("stripped", None, None)]


@pytest.mark.parametrize("policy", ["cut-prompt", "drop", "error"])
@pytest.mark.parametrize("max_length", [12, 28, 40, 10_000])
@pytest.mark.parametrize("find", [tokenize_dialogues, tokenize_pairs])
def test_nothing_vanishes(find: Callable[..., Tokenized], max_length: int, policy: str):
    table = {
        tokenize_dialogues: dialogue_table(turns("a", "b", "c"), turns(*LONG[:2]), turns("x"), turns(*SHORT)),
        tokenize_pairs: pair_table(SHORT, LONG, ("Q?", "x", "x"), (LONG[0], "a", "b"), ("a", LONG[1], LONG[1] + "!")),
    }[find]
    tokens = find(small_chat(), table, Limits(max_length, max_length // 2, policy))
    out = [rows for name, rows in tokens.counts.items() if name.startswith("dropped_")]
    assert (
        table.num_rows
        == tokens.counts["read_rows"]
        == tokens.counts["kept_rows"] + tokens.counts["faulty_rows"] + sum(out)
    )
    assert tokens.counts["kept_rows"] == tokens.table.num_rows
    assert [line[0].startswith("dropped-") for line in changes(tokens)].count(True) == sum(out)
