"""The model card for the Hub: the run's own card, and what only a publication knows: licence, base, datasets, use."""

import yaml

from zephyr_core import credits
from zephyr_train.publishing.origins import Origins


def text(own: str, repository: str, licence: str, origins: Origins) -> str:
    """Return README.md of a published model, given the text of the run's own card and public names."""
    _, head, body = own.split("---\n", 2)
    metadata = {"license": licence, **yaml.safe_load(head)}
    if origins.base_model:
        metadata["base_model"] = origins.base_model
    if origins.datasets:
        metadata["datasets"] = list(origins.datasets)
    sources = "\n".join(f"- {credits.line(name)}" for name in origins.sources) or "- none recorded"
    stated = "**The licence is not known**: whoever published this did not state one."
    if licence != credits.UNKNOWN:
        stated = f"Published under the licence `{licence}`."
    return f"""---
{yaml.safe_dump(metadata, sort_keys=False).strip()}
---
{body.rstrip()}

## Use

```python
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("{repository}")
model = AutoModelForCausalLM.from_pretrained("{repository}")
messages = [{{"role": "user", "content": "Name a river and say where it flows."}}]
prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=True)
answer = model.generate(**prompt, max_new_tokens=64)
print(tokenizer.decode(answer[0]))
```

`run/` holds the plan, the metrics of every logged step and the curves; `manifest.json` the digest of every file.
Checkpoints and the states of the optimizer are not published.

## Licence and attribution

{stated} What the model was made of:

{sources}

## Known limits

- the figures above are losses and preferences on held-out rows: whether an answer is true, safe or fair is not measured
- the model repeats what its rows and the model before it hold, mistakes and prejudice among them

## Citation

{credits.CITATION}
"""
