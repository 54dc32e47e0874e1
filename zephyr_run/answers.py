"""samples.jsonl of a run: what its models answer to the first held-out prompts, asked again when a model changes."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zephyr_core import keys, manifest, process
from zephyr_core.console import say
from zephyr_core.reading import json_lines
from zephyr_run import invocation
from zephyr_run.outputs import SAMPLES, StepOutput

PROMPTS = 6


def keep(folder: Path, models: Mapping[str, StepOutput], lock: int) -> None:
    """Write a row for each prompt: prompt, answers, stopped (whether each ended its turn), made_of (digest of models).

    Args:
        folder: the run directory.
        models: name → training step's output; the last is the dDPO run whose held-out pairs are used.
        lock: a descriptor of the run's lock.
    """
    content = {name: output.content() for name, output in models.items()}
    made_of = keys.text_key(json.dumps({"prompts": PROMPTS, "models": content}))
    file = folder / SAMPLES
    if _made_of(file) == made_of:
        return
    places = {name: str(output.folder) for name, output in models.items()}
    pairs = [*places.values()][-1]
    words = ["zephyr", "train", "measure", *places.values(), "--pairs", pairs, "--answers", str(PROMPTS), "--json"]
    say(f"\n== answers of the models\n$ {invocation.typed(words)}")
    ended = process.start(invocation.argv(words), catch=("out",), lock=lock)
    if ended.code:
        say(f"answers not kept: the command ended with {ended.code}; the run is whole without them")
        file.unlink(missing_ok=True)  # its answers are from other models
        return
    by_place = json.loads(ended.out)["models"]
    rows = _rows({name: by_place[place] for name, place in places.items()})
    lines = [json.dumps({**row, "made_of": made_of}, ensure_ascii=False) + "\n" for row in rows]
    manifest.write_text_whole(file, "".join(lines))


def _rows(results: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    prompts = next(iter(results.values()))["prompts"]
    return [
        {
            "prompt": prompt,
            "answers": {name: one["answers"][place] for name, one in results.items()},
            "stopped": {name: one["stopped"][place] for name, one in results.items()},
        }
        for place, prompt in enumerate(prompts)
    ]


def _made_of(file: Path) -> str | None:
    """Return the digest of the models that gave all answers in a file; None if rows disagree or are damaged."""
    rows, unreadable = json_lines(file)
    digests = {str(row.get("made_of")) for row in rows}
    return digests.pop() if len(digests) == 1 and not unreadable else None
