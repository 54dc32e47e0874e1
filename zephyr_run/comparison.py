"""Two outputs of one step side by side: what is equal by digest, and what on record could explain the rest."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zephyr_core import manifest
from zephyr_core.reading import json_file, json_lines
from zephyr_core.steps import Step
from zephyr_run.outputs import JOB, Output, content_parts

# Of a training run's record: what the arithmetic hangs on.
ARITHMETIC = {"cpu": "CPU", "world": "processes", "backend": "back end", "numerics": "numerics", "layout": "layout"}
PLACES = ("sources", "revision", "rules", "benchmark")  # options that say where things are; inputs go by digest
UNKNOWN = (
    "nothing on record differs: another kind of GPU or CPU, another number of threads, kernels that add in any order,"
    " or a record that was changed"
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


def compare(step: Step, recorded: Output, made: Output, unequal: list[str]) -> Compared:
    """Return what of a step came out as on record; `unequal` names the steps before it that did not."""
    before, after = _figures(step, recorded), _figures(step, made)
    equal = [name for name in before if before[name] == after.get(name)]
    different = [
        f"{name}: {_short(before.get(name))}, now {_short(after.get(name))}"
        for name in {**before, **after}
        if name not in equal
    ]
    reasons = _reasons(recorded, made, unequal) if different else []
    return Compared(step.name, tuple(equal), tuple(different), tuple(reasons))


def _figures(step: Step, output: Output) -> dict[str, Any]:
    """Return name → digest or figure by which the step is compared."""
    content = output.manifest()
    if step.is_data:
        rows = {f"{name}, rows": entry["rows"] for name, entry in content.get("splits", {}).items()}
        digests = {name: entry["rows_digest"] for name, entry in content.get("splits", {}).items()}
        return {**digests, **rows, **_flat(content.get("counts", {})), "drops": content.get("dropped_digest")}
    if step.folder is None:
        return {
            **{name: entry["sha256"] for name, entry in content.get("files", {}).items()},
            **content.get("rows", {}),
        }
    return {**content_parts(content), **{f"last metrics, {name}": value for name, value in _last_row(output).items()}}


def _flat(counts: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in counts.items():
        found |= _flat(value, f"{above}{name}, ") if isinstance(value, dict) else {f"{above}{name}": value}
    return found


def _last_row(output: Output) -> dict[str, Any]:
    rows, _ = json_lines(Path() if output.folder is None else output.folder / "metrics.jsonl")
    return rows[-1] if rows else {}


def _short(value: Any) -> str:
    return value[:12] if isinstance(value, str) else "absent" if value is None else str(value)


def _reasons(recorded: Output, made: Output, unequal: list[str]) -> list[str]:
    """Return what could explain the difference, by what both have on record."""
    before, after = recorded.manifest(), made.manifest()
    reasons = [f"{name}, which it reads, came out otherwise" for name in unequal]
    if recorded.is_whole and recorded.folder is not None and not before:
        reasons.append(f"{recorded.folder / manifest.NAME} cannot be read")
    reasons += _changed("version of {}", before.get("versions", {}), after.get("versions", {}))
    reasons += _changed("input {}", _inputs(before), _inputs(after))
    reasons += _changed("rule file {}", before.get("rules", {}), after.get("rules", {}), only_names=True)
    reasons += _changed("option {}", *(dict(_options(output)) for output in (recorded, made)))
    return [*reasons, *_changed("{}", *(dict(_arithmetic(output)) for output in (recorded, made)))] or [UNKNOWN]


def _changed(told: str, before: Mapping[str, Any], after: Mapping[str, Any], *, only_names: bool = False) -> list[str]:
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    values = "" if only_names else ": {}, now {}"
    return [told.format(name) + values.format(_short(before.get(name)), _short(after.get(name))) for name in names]


def _inputs(content: Mapping[str, Any]) -> dict[str, str]:
    found = content.get("inputs", [])
    return {entry["file"]: entry["sha256"] for entry in found} if isinstance(found, list) else {}


def _job(output: Output) -> dict[str, Any]:
    return json_file(output.folder / JOB) if output.folder else {}


def _options(output: Output) -> Iterator[tuple[str, Any]]:
    values = output.manifest().get("options", {}).get("values") or _job(output).get("options", {})
    yield from ((name, value) for name, value in values.items() if name not in PLACES)


def _arithmetic(output: Output) -> Iterator[tuple[str, Any]]:
    job = _job(output)
    yield from ((told, job[name]) for name, told in ARITHMETIC.items() if name in job)
