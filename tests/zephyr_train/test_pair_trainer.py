"""What the project's trainer does around a step: what rows cost, wrong layouts, test figures, the whole first step."""

from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset
from trl.trainer import dpo_trainer

from tests.zephyr_train import ranks, trl_side
from tests.zephyr_train.jobs import job
from zephyr_train import dpo
from zephyr_train.errors import InvariantBroken
from zephyr_train.pairs import attention, scoring

ROWS = ranks.rows(9)


def tokens(folder: Path, rows: trl_side.Rows) -> Path:
    """Write the train rows of a token artefact, as far as they are read here."""
    folder.mkdir()
    names = [str(number) for number in range(len(rows))]
    lengths = {name.replace("_ids", "_tokens"): [len(row[name]) for row in rows] for name in trl_side.COLUMNS}
    dataset = Dataset.from_dict({"key": names, "prompt_id": names, **lengths})
    dataset.save_to_disk(str(folder / "saved"))
    next((folder / "saved").glob("*.arrow")).rename(folder / "train.arrow")
    return folder


@pytest.mark.parametrize("layout", ["shared", "separate"])
def test_a_row_costs_the_tokens_that_the_backbone_reads(tmp_path: Path, layout: str) -> None:
    """Counted at the embedding, row by row."""
    costs = dpo.costs(job(tmp_path, layout=layout, tokens=str(tokens(tmp_path / "tokens", ROWS))))
    model = scoring.frozen_scorer(trl_side.tiny_model())
    read: list[int] = []
    model.model.embed_tokens.register_forward_hook(lambda layer, inputs, output: read.append(inputs[0].numel()))
    for row in ROWS:
        scoring.pair_logps(model, [row], trl_side.PAD, layout)
    assert costs == read


def test_the_weights_are_not_read_for_a_cache_that_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dpo_trainer, "hash_module", lambda _: pytest.fail("every weight is read"))
    patched = dpo_trainer.hash_module
    trainer = trl_side.project_trainer(
        trl_side.tiny_model(), trl_side.with_reference(ROWS, trl_side.tiny_model()), tmp_path
    )
    assert trainer.args.precompute_ref_log_probs, "or TRL would keep a second model"
    assert dpo_trainer.hash_module is patched


def test_the_whole_first_step_is_checked(tmp_path: Path) -> None:
    trl_side.tiny_model().config.save_pretrained(tmp_path / "start")
    of = {"tokens": str(tokens(tmp_path / "tokens", ROWS)), "options": {"global_batch_size": 4}}
    margins = dpo.margins_of(job(tmp_path, **of))
    margins.add("train", 0, [0, 1, 2], [0.0] * 3, [0.0] * 3)
    with pytest.raises(InvariantBroken):
        margins.add("train", 0, [3], [1.0], [0.0])


@pytest.mark.parametrize("layout", ["shared", "separate"])
def test_a_layout_that_gives_other_log_probs_than_padded_rows_stops_the_run_before_its_first_step(
    tmp_path: Path, layout: str
) -> None:
    """As with a kernel that aligns fewer queries than keys at their beginning, or lets pieces see each other."""

    def whole(module: Any, query: Any, key: Any, value: Any, mask: Any, *, pieces: Any = None, **rest: Any) -> Any:
        return attention.sdpa_attention_forward(module, query, key, value, None if pieces is not None else mask, **rest)

    rows = trl_side.with_reference(ROWS, trl_side.tiny_model())
    trainer = trl_side.project_trainer(
        trl_side.tiny_model(), rows, tmp_path, layout=layout, **ranks.OPTIONS, per_device_train_batch_size=4
    )
    attention.AttentionInterface.register("sdpa", whole)
    try:
        with pytest.raises(InvariantBroken, match=f"laid out as '{layout}' differ from those of padded rows"):
            trainer.train()
    finally:
        attention.register()
    assert trainer.state.global_step == 0


def test_a_test_row_that_fills_up_a_batch_counts_once_in_every_figure(tmp_path: Path) -> None:
    rows = trl_side.with_reference(ROWS[:3], trl_side.tiny_model())
    trainer = trl_side.project_trainer(trl_side.tiny_model(), rows, tmp_path, per_device_train_batch_size=3)
    numbered = [{**row, "row": number} for number, row in enumerate(rows)]
    trainer.model.eval()
    for batch in (numbered[:2], [numbered[2], numbered[0]]):
        trainer.compute_loss(trainer.model, trainer._prepare_inputs(trainer.data_collator(batch)))
    logs: dict[str, float] = {"eval_loss": 9.0}
    trainer.log(logs)
    plain = trl_side.plain_pairs(trl_side.tiny_model(), rows)
    assert logs["eval_logps/chosen"] == pytest.approx(plain.chosen.mean().item(), abs=1e-4)
    assert logs["eval_logps/rejected"] == pytest.approx(plain.rejected.mean().item(), abs=1e-4)
    assert logs["eval_loss"] == pytest.approx(0.6931472, abs=1e-5)
