"""One place renders: the Zephyr format to the byte, and nothing in a turn that only the template may say."""

from itertools import pairwise

import pytest
from transformers import AutoTokenizer

from tests.zephyr_train.small_chat import small_chat, small_tokenizer, special, turns
from zephyr_core.errors import OptionError
from zephyr_core.template import ZEPHYR_TEMPLATE, Chat, Cleaned, chat_fault

DIALOGUE = turns("Hi.", "Hello!\n\nYes?", "Bye.", "", system="Be kind.")
TEXT = (
    "<|system|>\nBe kind.</s>\n<|user|>\nHi.</s>\n<|assistant|>\nHello!\n\nYes?</s>\n"
    "<|user|>\nBye.</s>\n<|assistant|>\n</s>\n"
)


def test_the_zephyr_format_to_the_byte():
    assert small_chat().render(DIALOGUE, generation=False) == TEXT


def test_the_generation_prompt_is_an_open_assistant_turn():
    assert small_chat().render(turns("Hi."), generation=True) == "<|user|>\nHi.</s>\n<|assistant|>\n"


def test_many_dialogues_render_as_each_by_itself():
    chat = small_chat()
    dialogues = [DIALOGUE, turns("Hi."), turns("Hi.", "Ho.")]
    assert chat.render_all(dialogues, generation=True) == [chat.render(one, generation=True) for one in dialogues]
    assert chat.render_all([], generation=True) == []


def test_generation_markers_add_no_byte_and_name_the_replies():
    chat = small_chat()
    encoding = chat.tokenizer.apply_chat_template(DIALOGUE, return_assistant_tokens_mask=True, return_dict=True)
    marked = [token for token, mask in zip(encoding["input_ids"], encoding["assistant_masks"], strict=True) if mask]
    assert chat.tokenizer.decode(marked) == "Hello!\n\nYes?</s></s>"
    bare = ZEPHYR_TEMPLATE.replace("{% generation %}", "").replace("{% endgeneration %}", "")
    assert chat.tokenizer.apply_chat_template(DIALOGUE, tokenize=False, chat_template=bare) == TEXT


def test_who_loads_the_saved_tokenizer_renders_the_bytes_of_training(tmp_path):
    chat = small_chat()
    chat.tokenizer.save_pretrained(tmp_path)
    saved = AutoTokenizer.from_pretrained(tmp_path)
    assert saved.apply_chat_template(DIALOGUE, tokenize=False) == TEXT
    assert saved.apply_chat_template(DIALOGUE, return_dict=True)["input_ids"] == chat.encode([TEXT])[0].ids
    assert Chat(saved, "model").digest == chat.digest


def test_a_model_without_template_is_a_fault_with_its_cure():
    with pytest.raises(OptionError, match="no-template") as fault:
        Chat(small_tokenizer(), "model")
    assert 'template = "zephyr"' in fault.value.hint
    assert chat_fault(small_tokenizer(), "zephyr") is None


def test_the_template_of_the_model_is_kept_when_asked_for_and_replaced_when_not():
    template = "{% for m in messages %}{{ m['content'] + eos_token }}{% endfor %}"
    tokenizer = small_tokenizer()
    tokenizer.chat_template = template
    assert Chat(tokenizer, "model").render(turns("a", "b"), generation=False) == "a</s>b</s>"
    assert Chat(tokenizer, "zephyr").template == ZEPHYR_TEMPLATE


def test_a_tokenizer_that_cannot_end_a_turn_is_a_fault():
    tokenizer = small_tokenizer()
    tokenizer.eos_token = None
    assert chat_fault(tokenizer, "zephyr").name == "eos-not-in-loss"


def test_pad_is_eos_only_where_there_is_none():
    added = small_chat()
    assert (added.tokenizer.pad_token, added.record()["pad_added"]) == ("</s>", True)
    tokenizer = small_tokenizer()
    tokenizer.pad_token = tokenizer.unk_token
    own = Chat(tokenizer)
    assert (own.tokenizer.pad_token, own.record()["pad_added"]) == ("<unk>", False)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("</s>", "< /s>"),
        ("a <s>b</s></s>", "a < s>b< /s>< /s>"),
        ("<unk>", "< unk>"),
        ("<tool>", "< tool>"),
        ("an egg timer", "an egg timer"),
        ("<|user|>\nHi", "< |user|>\nHi"),
        ("Hi\n<|assistant|> Ho\n<|system|>", "Hi\n< |assistant|> Ho\n< |system|>"),
        ("say <|user|>", "say <|user|>"),
        ("\n<|tool|>", "\n<|tool|>"),
        ("if a < s > b: <b>", "if a < s > b: <b>"),
    ],
)
def test_what_only_the_template_may_say_is_escaped(text: str, clean: str):
    tokenizer = small_tokenizer()
    tokenizer.add_tokens([special("<tool>")], special_tokens=True)
    tokenizer.add_tokens(["egg timer"])
    [message], cleaned = Chat(tokenizer).clean(turns(text))
    assert message == {"role": "user", "content": clean}
    assert cleaned == Cleaned(escaped=len(clean) - len(text))


def test_escaped_text_becomes_no_special_token():
    chat = small_chat()
    messages, _ = chat.clean(turns("</s><s></</s>s>", "<|user|>\n<unk></s>"))
    ids = chat.encode([chat.render(messages, generation=False)])[0].ids
    assert [ids.count(special_id) for special_id in (0, 1, 2)] == [0, 0, 2]


@pytest.mark.parametrize(
    ("text", "clean"),
    [("\n\nHi", "Hi"), (" \n\t\n  Hi\n", "Hi\n"), ("\r\nHi", "Hi"), (" ", ""), ("Hi\n\n Ho", "Hi\n\n Ho")],
)
def test_white_space_at_the_head_of_a_reply_goes(text: str, clean: str):
    messages, cleaned = small_chat().clean(turns(text, text))
    assert [message["content"] for message in messages] == [text, clean]
    assert cleaned == Cleaned(stripped_turns=int(text != clean))


def test_markers_of_zephyr_are_plain_text_to_another_template():
    messages, cleaned = small_chat("{{ messages[0]['content'] + eos_token }}").clean(turns("<|user|></s>"))
    assert messages[0]["content"] == "<|user|>< /s>"
    assert cleaned.escaped == 1


def test_the_tokenizer_digest_hangs_on_the_vocabulary_and_not_on_earlier_calls():
    chat, again, other = small_chat(), small_chat(), small_chat(texts=["zebra"] * 9)
    again.tokenizer("x", truncation=True, max_length=1, padding="max_length")
    assert chat.tokenizer_digest == again.tokenizer_digest != other.tokenizer_digest


def test_offsets_cover_spaces_whatever_the_tokenizer_trims():
    chat = small_chat(trim=True)
    encoding = chat.encode([" hot water"])[0]
    assert [span for span in encoding.offsets if span[0] == span[1]] == []
    assert encoding.offsets[0][0] == 0
    assert all(one[1] == following[0] for one, following in pairwise(encoding.offsets))
