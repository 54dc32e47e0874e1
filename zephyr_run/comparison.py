"""Two outputs of one step side by side: what is equal by digest, and what on record could explain the rest."""

import platform
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from zephyr_core import manifest, this_code
from zephyr_core.reading import json_lines
from zephyr_core.records import AnyManifest, DatasetManifest
from zephyr_core.steps import Step
from zephyr_run.outputs import StepOutput, content_parts

# From a training run's record: what the arithmetic depends on.
ARITHMETIC = {"cpu": "CPU", "world": "processes", "backend": "back end", "numerics": "numerics", "layout": "layout"}
PLACES = ("sources", "revision", "rules", "benchmark")  # options that say where things are; inputs go by digest
UNKNOWN = (
    "nothing on record differs: another kind of GPU or CPU, another number of threads, kernels that sum in any order,"
    " or an edited record"
)


@dataclass(frozen=True)
class Compared:
    """A step of a run, made again."""

    step: str
    equal: tuple[str, ...]
    different: tuple[str, ...]  # name and both values
    reasons: tuple[str, ...] = ()

    @property
    def is_equal(self) -> bool:
        """Return whether nothing differs."""
        return not self.different


def compare(step: Step, recorded: StepOutput, remade: StepOutput, unequal: list[str]) -> Compared:
    """Compare a step's output with the one on record; `unequal` names the earlier steps that differ."""
    before, after = _figures(recorded), _figures(remade)
    equal = [name for name in before if before[name] == after.get(name)]
    different = [
        f"{name}: {_short(before.get(name))}, now {_short(after.get(name))}"
        for name in {**before, **after}
        if name not in equal
    ]
    reasons = _reasons(recorded, remade, unequal) if different else []
    return Compared(step.name, tuple(equal), tuple(different), tuple(reasons))


def _figures(output: StepOutput) -> dict[str, object]:
    """Return the digests and figures to compare, by name."""
    content = output.manifest()
    if content is None or content["kind"] == "tokens":
        return {}
    if content["kind"] == "student":
        return {**content_parts(content), "texts": content["texts"]["digest"]}
    if content["kind"] == "reference":
        return {**{name: entry["sha256"] for name, entry in content["files"].items()}, **content["rows"]}
    if content["kind"] == "model":
        metrics = {f"last metrics, {name}": value for name, value in _last_row(output).items()}
        return {**content_parts(content), **metrics}
    rows = {f"{name}, rows": entry["rows"] for name, entry in content["splits"].items()}
    return {**content_parts(content), **rows, **_flat(content["counts"]), "drops": content["dropped_digest"]}


def _flat(counts: Mapping[str, object], above: str = "") -> dict[str, object]:
    figures: dict[str, object] = {}
    for name, value in counts.items():
        figures |= _flat(value, f"{above}{name}, ") if isinstance(value, dict) else {f"{above}{name}": value}
    return figures


def _last_row(output: StepOutput) -> dict[str, object]:
    rows, _ = json_lines(Path() if output.folder is None else output.folder / "metrics.jsonl")
    return rows[-1] if rows else {}


def _short(value: object) -> str:
    return value[:12] if isinstance(value, str) else "absent" if value is None else str(value)


def _reasons(recorded: StepOutput, remade: StepOutput, unequal: list[str]) -> list[str]:
    """Return what could explain the difference, judging by both records."""
    before, after = recorded.manifest(), remade.manifest()
    reasons = [f"{name}, which it reads, differs" for name in unequal]
    if recorded.is_whole and recorded.folder is not None and not before:
        reasons.append(f"{recorded.folder / manifest.NAME} cannot be read")
    reasons += _changed("version of {}", *(one["versions"] if one else {} for one in (before, after)))
    datasets = [recorded.dataset(), remade.dataset()]
    reasons += _changed("input {}", *(_inputs(one) if one else {} for one in datasets))
    reasons += _changed("rule file {}", *(one["rules"] if one else {} for one in datasets), only_names=True)
    reasons += _changed("option {}", *(dict(_options(output)) for output in (recorded, remade)))
    return [*reasons, *_changed("{}", *(dict(_arithmetic(output)) for output in (recorded, remade)))] or [UNKNOWN]


def _changed(
    phrase: str, before: Mapping[str, object], after: Mapping[str, object], *, only_names: bool = False
) -> list[str]:
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    values = "" if only_names else ": {}, now {}"
    return [phrase.format(name) + values.format(_short(before.get(name)), _short(after.get(name))) for name in names]


def _inputs(content: DatasetManifest) -> dict[str, str]:
    return {entry["file"]: entry["sha256"] for entry in content["inputs"]}


def _options(output: StepOutput) -> Iterator[tuple[str, object]]:
    dataset = output.dataset()
    values = dataset["options"]["values"] if dataset else output.job().get("options", {})
    yield from ((name, value) for name, value in values.items() if name not in PLACES)


def _arithmetic(output: StepOutput) -> Iterator[tuple[str, object]]:
    job = dict(output.job())
    yield from ((phrase, job[name]) for name, phrase in ARITHMETIC.items() if name in job)


# ---- versions -----------------------------------------------------------------------------------


def _installed(name: str) -> str:
    """Return the installed version of a package, of Python or of zephyr's own code; "absent" if there is none."""
    return {**this_code.installed(name), **this_code.versions(), "python": platform.python_version()}.get(
        name, "absent"
    )


def version_differences(manifests: Iterable[AnyManifest | None]) -> list[str]:
    """Return a line for each version on record that differs from the installed one."""
    return [f"{name} {was} → {_installed(name)}" for name, was in _recorded(manifests) if _installed(name) != was]


def installed_versions(manifests: Iterable[AnyManifest | None]) -> dict[str, str]:
    """Return the installed version of each package that is on record, and of zephyr and its code."""
    return {name: _installed(name) for name, _ in _recorded(manifests)} | this_code.versions()


def _recorded(manifests: Iterable[AnyManifest | None]) -> list[tuple[str, str]]:
    return sorted({(name, was) for content in manifests if content for name, was in content["versions"].items()})
