"""Mistral-7B-v0.1's own tokenizer: tokens are SentencePiece's, and the loss is on replies with one EOS each."""

from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from tests.zephyr_train import mistral
from tests.zephyr_train.model_folder import look
from tests.zephyr_train.small_chat import dialogue_table, pair_table, tokenize_dialogues, tokenize_pairs, turns
from zephyr_core.template import ZEPHYR_TEMPLATE, Chat
from zephyr_train.tokenizing.packing import IGNORED
from zephyr_train.tokenizing.token_rows import Limits

LONG = Limits(10_000, 5_000, "cut-prompt")
# Texts, and what becomes of them before they are rendered: literals of special tokens get a space.
DIALOGUES = [
    (turns("How long?", "Six minutes."), None),
    (turns("Why?", "Because.\n\nIt is hot!", "Thanks", "Any time."), None),
    (turns("def f():\n    return  2", "  x = 1\n\ty", system="Be  brief. "), (2, "x = 1\n\ty")),
    (turns("你好 🙂", "Ça va — naïve ﬁ 🦜 \u200b."), None),
    (turns("What is </s>?", "The end."), (0, "What is < /s>?")),
    (turns("Hi", ""), None),
]


@pytest.fixture(scope="module")
def sentencepiece() -> Any:
    return mistral.sentencepiece_model()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return mistral.build(tmp_path_factory.mktemp("mistral") / "model")


@pytest.fixture
def chat(folder: Path) -> Chat:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.pad_token is None and tokenizer("Hi")["input_ids"][0] == mistral.BOS
    return Chat(tokenizer)


@pytest.mark.parametrize(("dialogue", "change"), DIALOGUES)
def test_tokens_are_sentencepieces_and_the_loss_is_on_each_reply_with_one_eos(
    chat: Chat, sentencepiece: Any, dialogue: list[dict[str, str]], change: tuple[int, str] | None
) -> None:
    [row] = tokenize_dialogues(chat, dialogue_table(dialogue), LONG).table.to_pylist()
    rendered = [dict(message) for message in dialogue]
    if change is not None:
        rendered[change[0]]["content"] = change[1]
    ids, is_reply = mistral.expected(sentencepiece, rendered)
    assert row["input_ids"] == ids
    labels = [token if counts else IGNORED for token, counts in zip(ids, is_reply, strict=True)]
    assert row["labels"] == labels
    replies = [message["content"] for message in rendered if message["role"] == "assistant"]
    texts = [[]]
    for label in row["labels"]:
        if label == mistral.EOS:
            texts.append([])
        elif label != IGNORED:
            texts[-1].append(label)
    assert [sentencepiece.decode(text) for text in texts] == [*replies, ""]
    assert labels.count(mistral.EOS) == len(replies) and ids.count(mistral.EOS) == len(rendered)
    assert mistral.BOS not in ids and sentencepiece.unk_id() not in ids
    assert chat.tokenizer.pad_token_id == mistral.EOS, "what must not take the EOS out of the loss"


def test_a_pairs_prompt_is_that_of_inference_and_both_replies_end_with_their_eos(
    chat: Chat, sentencepiece: Any
) -> None:
    pair = ("你好, how long?\n", "Six minutes.", "No 🙂")
    [row] = tokenize_pairs(chat, pair_table(pair), LONG).table.to_pylist()
    for name, reply in zip(("chosen_ids", "rejected_ids"), pair[1:], strict=True):
        ids, is_reply = mistral.expected(sentencepiece, turns(pair[0], reply))
        start, stop = is_reply.index(True), len(is_reply) - is_reply[::-1].index(True)
        assert (row["prompt_ids"], row[name]) == (ids[:start], ids[start:stop])
        assert row[name].count(mistral.EOS) == 1 and row[name][-1] == mistral.EOS


def test_a_template_that_writes_bos_has_it_once(folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = "{{ bos_token }}" + ZEPHYR_TEMPLATE
    [row] = tokenize_dialogues(Chat(tokenizer, "model"), dialogue_table(DIALOGUES[1][0]), LONG).table.to_pylist()
    assert row["input_ids"][0] == mistral.BOS and row["input_ids"].count(mistral.BOS) == 1


@pytest.mark.usefixtures("here")
def test_preflight_takes_it(folder: Path) -> None:
    examination = look(folder, dry=False)
    assert examination.faults == [] and examination.plan is not None and examination.plan.shape is not None
    assert examination.plan.shape.vocabulary == mistral.PIECES
