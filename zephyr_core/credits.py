"""Whom a card names: sources, their licences, the paper.

Licences are known of some sources by name. Of any other none is guessed: whoever publishes has to say it.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from zephyr_core.errors import OptionError

UNKNOWN = "unknown"  # the Hub's own word for it
CITATION = """```bibtex
@article{tunstall2023zephyr,
  title   = {Zephyr: Direct Distillation of LM Alignment},
  author  = {Tunstall, Lewis and others},
  journal = {arXiv preprint arXiv:2310.16944},
  year    = {2023}
}
```"""
SAMPLES = "samples:"  # sources of a dataset that zephyr brings itself


@dataclass(frozen=True)
class Source:
    """What a dataset or model is made of: its licence as the Hub spells it, and whom to name."""

    licence: str
    attribution: str


KNOWN = {
    "stingning/ultrachat": Source("mit", "UltraChat, Ding et al. 2023, arXiv 2305.14233"),
    "openbmb/UltraFeedback": Source("mit", "UltraFeedback, Cui et al. 2023, arXiv 2310.01377"),
    "mistralai/Mistral-7B-v0.1": Source("apache-2.0", "Mistral 7B, Jiang et al. 2023, arXiv 2310.06825"),
}
_ON_HUB = re.compile(r"([\w.-]+/[\w.-]+)@[0-9a-f]{40}")
_OURS = Source("apache-2.0", "samples of zephyr, written for it")


def on_hub(name: str) -> str | None:
    """Return the repository of a source that was read from the Hub, repository@commit; None for any other."""
    match = _ON_HUB.fullmatch(name)
    return match[1] if match else None


def source_of(name: str) -> Source | None:
    """Return what is known of a source; a folder here can have any name, so only one from the Hub is known by it."""
    return _OURS if name.startswith(SAMPLES) else KNOWN.get(on_hub(name) or "")


def line(name: str) -> str:
    """Return a source with its licence and attribution, for a card."""
    source = source_of(name)
    if source is None:
        return f"`{name}`: licence and authors not known to zephyr"
    return f"`{name}`: {source.attribution}; licence {source.licence}"


def resolve(given: str | None, sources: Iterable[str]) -> str:
    """Return the licence to publish under: the one given, or the one that all sources are known to have.

    Raises:
        OptionError: none is given, and that of a source is not known, or they differ.
    """
    if given is not None:
        if not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", given):
            raise OptionError(f"license is {given!r}, not an identifier", "such as `--license mit`")
        return given
    licences = {name: source.licence if (source := source_of(name)) else UNKNOWN for name in sources}
    if len({*licences.values()}) == 1 and UNKNOWN not in licences.values():
        return next(iter(licences.values()))
    listed = ", ".join(f"{name}: {licence}" for name, licence in licences.items()) or "no source is recorded"
    raise OptionError(
        f"the licence to publish under does not follow from the sources ({listed})",
        f"give it with --license, such as `--license mit`; `--license {UNKNOWN}` says on the card that it is not known",
    )
