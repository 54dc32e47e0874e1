"""A token set is built once and found by what it was made of."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Dataset
from transformers import AutoTokenizer

from tests.zephyr_train.small_chat import (
    SmallSource,
    dialogue_table,
    packed_rows,
    pair_table,
    small_chat,
    tokenize_dialogues,
    tokenize_pairs,
    turns,
)
from zephyr_core import manifest
from zephyr_train.tokenizing.token_rows import Limits
from zephyr_train.tokenizing.token_sets import TokenSet, token_set, token_set_digest
from zephyr_train.tokenizing.tokens import tokenized_sample

CUT = Limits(64, 32, "cut-prompt")
PACKED = Limits(32, None, "split", packed=True)
TRAIN = pair_table(
    ("How long?", "Six minutes.", "No."), ("Hot?", "Yes.", "</s>"), ("Q " * 99, "a", "b"), ("x", "y", "y")
)
TEST = pair_table(("Salt?", "A little.", "Never."))
TALK = dialogue_table(turns("How long?", "Six minutes. " * 20), turns("a", "b"), turns("c", "d", "e", "f"))


def pairs(**changed: object) -> SmallSource:
    return SmallSource("pairs", {"train": TRAIN, "test": TEST}, **changed)


def build(folder: Path, source: SmallSource | None = None, limits: Limits = CUT) -> TokenSet:
    return token_set(source or pairs(), small_chat(), limits, folder)


def stream(path: Path) -> pa.Table:
    with pa.memory_map(str(path)) as file:
        return pa.ipc.open_stream(file).read_all()


def test_the_files_are_the_token_rows_and_datasets_maps_them(tmp_path):
    tokens = build(tmp_path)
    expected = tokenize_pairs(small_chat(), TRAIN, CUT)
    dataset = Dataset.from_file(str(tokens.train_file))
    assert dataset.to_list() == expected.table.to_pylist()
    assert dataset.cache_files == [{"filename": str(tokens.train_file)}]
    assert (
        Dataset.from_file(str(tokens.path / "test.arrow")).to_list()
        == tokenize_pairs(small_chat(), TEST, CUT).table.to_pylist()
    )
    assert tokens.path == tmp_path / f"tokens-{tokens.digest[:16]}"


def test_the_manifest_says_what_became_of_each_row(tmp_path):
    tokens = build(tmp_path, pairs(dropped={"empty-prompt": 3}))
    content = json.loads((tokens.path / manifest.NAME).read_text())
    assert (content["kind"], content["digest"]) == ("tokens", tokens.digest)
    assert content["splits"]["train"]["rows"] == 3
    assert (
        content["splits"]["train"]["counts"]
        == tokenize_pairs(small_chat(), TRAIN, CUT).counts
        == tokens.counts["train"]
    )
    assert content["dropped_when_read"] == {"empty-prompt": 3}
    assert content["chat"]["template_digest"] == small_chat().digest
    changed = pq.read_table(tokens.path / "changed.parquet")
    assert changed.column_names == ["split", "key", "prompt_id", "what", "before_tokens", "after_tokens"]
    assert sorted(changed["what"].to_pylist()) == ["dropped-equal-after-cut", "escaped", "prompt-cut"]


def test_the_tokenizer_is_kept_as_it_was_used(tmp_path):
    tokens = build(tmp_path)
    saved = AutoTokenizer.from_pretrained(tokens.path)
    assert (saved.chat_template, saved.pad_token) == (small_chat().template, "</s>")


def test_a_set_is_found_again_without_reading_a_row(tmp_path, news):
    first = build(tmp_path)
    source, _ = pairs(), news()
    again = build(tmp_path, source)
    assert (again.path, again.manifest) == (first.path, first.manifest)
    assert source.read == []
    assert news() == [f"found {first.path}"]


def test_every_thing_that_tokens_hang_on_is_in_the_digest():
    chat, source = small_chat(), pairs()
    bos = small_chat("{{ bos_token }}")
    other = small_chat(texts=["zebra"] * 9)
    ended = small_chat()
    ended.tokenizer.eos_token = ended.tokenizer.bos_token
    limits = [Limits(65, 32, "cut-prompt"), Limits(64, 31, "cut-prompt"), Limits(64, 32, "drop")]
    limits += [Limits(64, 32, "cut-prompt", "all"), Limits(64, 32, "cut-prompt", packed=True)]
    digests = [token_set_digest(source, each, CUT) for each in (chat, bos, other, ended)]
    digests += [token_set_digest(source, chat, each) for each in limits]
    digests += [token_set_digest(pairs(digest="01"), chat, CUT)]
    digests += [token_set_digest(SmallSource("dialogues", {}), chat, CUT)]
    assert len(set(digests)) == len(digests)
    assert token_set_digest(source, small_chat(), CUT) == token_set_digest(pairs(name="else"), chat, CUT)


def test_rows_in_another_order_give_the_same_files(tmp_path):
    first = build(tmp_path / "a")
    turned = SmallSource("pairs", {"train": TRAIN.take([3, 1, 0, 2]), "test": TEST})
    second = build(tmp_path / "b", turned)
    files = [name for name in first.manifest["files"] if name.endswith(".arrow") or name == "changed.parquet"]
    assert len(files) == 3
    digests = [[tokens.manifest["files"][name]["sha256"] for name in files] for tokens in (first, second)]
    assert digests[0] == digests[1]


def test_packed_rows_lie_beside_the_rows(tmp_path):
    tokens = build(tmp_path, SmallSource("dialogues", {"train": TALK}), PACKED)
    rows = tokenize_dialogues(small_chat(), TALK, PACKED).table
    assert stream(tokens.train_file).to_pylist() == rows.to_pylist()
    packed, counts = packed_rows(rows, 32)
    assert Dataset.from_file(str(tokens.path / "train-packed.arrow")).to_list() == packed.to_pylist()
    assert tokens.manifest["splits"]["train"]["packing"] == counts
    assert not (tokens.path / "test.arrow").exists()


def test_faults_are_kept_with_the_set(tmp_path):
    two = [{"role": "assistant", "content": text} for text in "ab"]
    broken = TEST.set_column(2, "chosen", pa.array([two], TEST.schema.field("chosen").type))
    source = SmallSource("pairs", {"train": TRAIN, "test": broken})
    tokens = build(tmp_path, source)
    again = build(tmp_path, source)
    assert [fault.name for fault in tokens.faults] == ["not-one-reply"]
    assert tokens.faults[0].message.startswith("test: ")
    assert again.faults == tokens.faults
    assert stream(tokens.path / "test.arrow").num_rows == 0
    assert len(Dataset.from_file(str(tokens.path / "test.arrow"))) == 0


def test_the_sample_finds_what_the_whole_set_would():
    source = pairs()
    sample = tokenized_sample(source, small_chat(), CUT)
    counts, faults = sample.counts, sample.faults
    assert counts == tokenize_pairs(small_chat(), TRAIN, CUT).counts
    assert faults == []
    assert source.read == ["train"]
    assert tokenized_sample(source, small_chat(), CUT, rows=2).counts["read_rows"] == 2
