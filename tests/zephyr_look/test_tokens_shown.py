"""`--tokens` shows the ids and the loss mask of training itself, whole or cut; without colour nothing of it is lost."""

from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

from tests.zephyr_train.model_folder import build
from tests.zephyr_train.row_shapes import trainer_pair, turn, write_lines
from zephyr_core import recipe
from zephyr_core.errors import DataError, UsageError
from zephyr_look.opening import open_dataset
from zephyr_look.row_form import ROW
from zephyr_look.row_text import row_text
from zephyr_look.screen import Screen
from zephyr_look.token_view import LOSS, TEMPLATE, WORDS, Token, TokenRow, TokenView, legend, token_text
from zephyr_train.preflight.row_checks import limits_of
from zephyr_train.reader import open_data
from zephyr_train.request import TrainRequest
from zephyr_train.tokenizing.packing import IGNORED
from zephyr_train.tokenizing.token_sets import token_set

PLAIN, COLOURED = Screen(None, False), Screen(60, True)
DIALOGUES: list[list[dict[str, Any]]] = [
    [
        turn("user", "Hello </s>, 7!"),
        turn("assistant", "  Good </s> day, 你好 ü.\nIt is 🫐."),
        turn("user", "Which plum?"),
    ],
    [
        turn("system", "Be brief."),
        turn("user", "A?"),
        turn("assistant", "B") | {"weight": 0},
        turn("user", "C"),
        turn("assistant", "<|user|>\nD"),
    ],
    [turn("user", "Is it long? " * 3), turn("assistant", "It is. " * 30)],
]
TURNS = [turn("user", "An old question? " * 5), turn("assistant", "\nAn old answer."), turn("user", "And now?")]
PAIRS = [
    trainer_pair("Which plum is ripe?", "The blue one.", "None"),
    trainer_pair("Why? " * 40, "So. " * 9, "No."),
    trainer_pair("", "Now.", "No.") | {"prompt": TURNS},
]
CUT = """
extends = "tiny"
about = "for tests"
[sft]
max_length = 96
packing = "off"
on_overlong = "cut"
[dpo]
max_length = 64
max_prompt_length = 32
on_overlong = "cut-prompt"
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("model") / "model")


@pytest.fixture
def cutting(tmp_path: Path) -> recipe.Recipe:
    (tmp_path / "cut.toml").write_text(CUT)
    return recipe.load(str(tmp_path / "cut.toml"))


def shown(file: Path, view: TokenView) -> dict[str, TokenRow]:
    """Return key → the tokens that are shown."""
    table = pl.concat(open_dataset(str(file)).frames(ROW))
    return {row["key"]: view.tokens(row) for row in table.iter_rows(named=True)}


def built(file: Path, step: str, view: TokenView, chosen: recipe.Recipe, folder: Path) -> list[dict[str, Any]]:
    """Return the token rows that training builds of a file."""
    kind = {"sft": "dialogues", "dpo": "pairs"}[step]
    limits = limits_of(TrainRequest.typed(step, {"recipe": chosen}).options)
    tokens = token_set(open_data(str(file), kind), view.chat(kind), limits, folder / step)
    with pa.memory_map(str(tokens.train_file)) as stream:
        rows: list[dict[str, Any]] = pa.ipc.open_stream(stream).read_all().to_pylist()
    return rows


@pytest.mark.parametrize("name", ["zephyr-7b-beta", "cut"])
def test_the_tokens_of_a_dialogue_are_those_of_training(
    name: str, model: Path, cutting: recipe.Recipe, tmp_path: Path
) -> None:
    chosen = cutting if name == "cut" else recipe.load(name)
    file = write_lines(tmp_path / "a.jsonl", [{"messages": messages} for messages in DIALOGUES])
    view = TokenView(str(model), chosen)
    rows, trained = shown(file, view), built(file, "sft", view, chosen, tmp_path)
    assert {row["key"] for row in trained} == set(rows)
    for row in trained:
        tokens = rows[row["key"]].sides["dialogue"]
        assert [token.number for token in tokens] == row["input_ids"]
        assert [token.part == LOSS for token in tokens] == [label != IGNORED for label in row["labels"]]
    assert (max(len(row["input_ids"]) for row in trained) == 96) == (name == "cut")


@pytest.mark.parametrize("name", ["zephyr-7b-beta", "cut"])
def test_the_tokens_of_a_pair_are_those_of_training(
    name: str, model: Path, cutting: recipe.Recipe, tmp_path: Path
) -> None:
    chosen = cutting if name == "cut" else recipe.load(name)
    file = write_lines(tmp_path / "a.jsonl", PAIRS)
    view = TokenView(str(model), chosen)
    rows, trained = shown(file, view), built(file, "dpo", view, chosen, tmp_path)
    for row in trained:
        for side in ("prompt", "chosen", "rejected"):
            tokens = rows[row["key"]].sides[side]
            assert [token.number for token in tokens] == row[f"{side}_ids"]
            assert {token.part == LOSS for token in tokens} == {side != "prompt"}
    [long] = [row for row in rows.values() if len(row.sides["chosen"]) > 20]
    start = "" if name == "cut" else "<|user|>\n"
    assert text_of(long.sides["prompt"], TEMPLATE) == f"{start}</s>\n<|assistant|>\n"
    [several] = [row.sides["prompt"] for row in rows.values() if len(row.sides["chosen"]) < 9]
    assert text_of(several, WORDS).endswith("And now?"), "an earlier turn may be cut off whole"
    assert (text_of(several, TEMPLATE).count("<|user|>") == 2) == (name != "cut")
    remarks = [remark for row in rows.values() for remark in row.remarks]
    assert any("prompt-cut: " in remark and "→ 32 tokens" in remark for remark in remarks) == (name == "cut")


def test_the_words_of_messages_and_those_of_the_template_are_kept_apart(model: Path, tmp_path: Path) -> None:
    file = write_lines(tmp_path / "a.jsonl", [{"messages": messages} for messages in DIALOGUES[:2]])
    first, second = shown(file, TokenView(str(model), recipe.load("tiny"))).values()
    template = [text_of(row.sides["dialogue"], TEMPLATE) for row in (first, second)]
    assert template[0] == "<|user|>\n</s>\n<|assistant|>\n\n"
    assert template[1] == "<|system|>\n</s>\n<|user|>\n</s>\n<|assistant|>\n</s>\n<|user|>\n</s>\n<|assistant|>\n\n"
    assert text_of(first.sides["dialogue"], LOSS) == "Good < /s> day, 你好 ü.\nIt is 🫐.</s>"
    assert text_of(second.sides["dialogue"], LOSS) == "< |user|>\nD</s>", "the reply of weight 0 is not in it"
    assert first.remarks == ["trailing-turns-cut", "escaped", "stripped"]


def text_of(tokens: list[Token], part: str) -> str:
    return "".join(token.text for token in tokens if token.part == part)


def test_without_colour_brackets_say_the_same(model: Path, tmp_path: Path) -> None:
    file = write_lines(tmp_path / "a.jsonl", [{"messages": [turn("user", "A?"), turn("assistant", "B\x1b[31m")]}])
    [row] = shown(file, TokenView(str(model), recipe.load("tiny"))).values()
    lines = token_text(row, PLAIN).split("\n")
    assert lines[0].endswith("tokens, 7 for the loss, 2 EOS")
    assert [line.strip() for line in lines[1:]] == [
        "⟨<|user|>↵",
        "⟩A?⟨‹</s>›⟩⟨↵",
        "<|assistant|>↵",
        "⟩⟦B\\x1b[31m⟧⟦‹</s>›⟧⟨↵",
        "⟩",
    ]
    coloured = token_text(row, COLOURED)
    assert "\x1b[30;42mB\\x1b[31m\x1b[0m" in coloured and "⟦" not in coloured
    assert "⟦" in legend(PLAIN) and "\x1b[30;42m" in legend(COLOURED)


def test_a_row_that_is_not_trained_on_says_why(model: Path, cutting: recipe.Recipe, tmp_path: Path) -> None:
    view = TokenView(str(model), cutting)
    equal = [trainer_pair("a", "b", "b"), {"prompt": "a", "chosen": [turn("assistant", "b")] * 2, "rejected": "c"}]
    reasons = [row.remarks for row in shown(write_lines(tmp_path / "a.jsonl", equal[:1]), view).values()]
    assert reasons == [["it cannot be trained on: identical-texts"]]
    two = {"prompt": [turn("user", "a")], "chosen": [turn("assistant", "b")] * 2, "rejected": [turn("assistant", "c")]}
    [[remark]] = [row.remarks for row in shown(write_lines(tmp_path / "b.jsonl", [two]), view).values()]
    assert remark.startswith("not-one-reply: a completion is not exactly one assistant message")
    rated = {"prompt": "P?", "responses": [{"response": "x", "score": 2}]}
    with pytest.raises(UsageError, match="not trained on"):
        shown(write_lines(tmp_path / "c.jsonl", [rated]), view)


def test_a_model_without_a_tokenizer_or_with_code_is_refused(model: Path, tmp_path: Path) -> None:
    for name in ("config.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((model / name).read_bytes())
    with pytest.raises(DataError, match="no tokenizer that can be loaded"):
        TokenView(str(tmp_path), recipe.load("tiny")).chat("pairs")
    (tmp_path / "tokenizer_config.json").write_text('{"auto_map": {"AutoTokenizer": ["x.Y", null]}}')
    with pytest.raises(DataError, match="names code"):
        TokenView(str(tmp_path), recipe.load("tiny"))
    with pytest.raises(UsageError, match="not a folder"):
        TokenView("nothing", recipe.load("tiny"))


def test_what_a_terminal_would_obey_or_hide_is_written_out(tmp_path: Path) -> None:
    text = "a\x1b[2J\u202eb\u200bc\x07 🤷\u200d♀\tend"
    row = {"prompt": text, "chosen": f"yes {text}", "rejected": "no", "source": "x\x1b]0;y\x07"}
    [record] = pl.concat(open_dataset(str(write_lines(tmp_path / "a.jsonl", [row]))).frames(ROW)).to_dicts()
    for screen in (PLAIN, Screen(40, False)):
        printed = row_text(record, screen)
        assert not set(printed) & set("\x1b\x07\u202e\u200b")
        assert "a\\x1b[2J\\u202eb\\u200bc\\x07 🤷\u200d♀" in printed and "x\\x1b]0;y\\x07" in printed.replace("\n", " ")
    assert max(map(len, row_text(record, Screen(40, False)).split("\n"))) <= 40


def test_each_step_has_the_template_of_its_own_section(model: Path, tmp_path: Path) -> None:
    (tmp_path / "two.toml").write_text('extends = "tiny"\nabout = "for tests"\n[dpo]\ntemplate = "model"\n')
    for name in model.iterdir():
        (tmp_path / name.name).write_bytes(name.read_bytes())
    (tmp_path / "chat_template.jinja").write_text("{% for m in messages %}{{ m.content + eos_token }}{% endfor %}")
    view = TokenView(str(tmp_path), recipe.load(str(tmp_path / "two.toml")))
    assert view.chat("dialogues").is_zephyr and not view.chat("pairs").is_zephyr
