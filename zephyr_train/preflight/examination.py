"""What preflight found about a run, and how it is reported."""

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from zephyr_core.amounts import Wanted
from zephyr_core.errors import DATA, ENVIRONMENT, USAGE
from zephyr_core.faults import Fault
from zephyr_core.hub import with_commit
from zephyr_core.records import MixedSource
from zephyr_train.errors import PreflightFailed
from zephyr_train.models import Model
from zephyr_train.planning.plan import Plan
from zephyr_train.planning.plan_text import part_text, plan_text
from zephyr_train.reader import Source
from zephyr_train.request import TrainRequest

SEVERITY = (ENVIRONMENT, USAGE, DATA)

if TYPE_CHECKING:
    from zephyr_core.template import Chat


@dataclass
class Examination:
    """What preflight found. `lacks` are faults of this machine, which a dry run reports without failing."""

    request: TrainRequest
    dry: bool = False
    faults: list[Fault] = field(default_factory=list)
    lacks: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    settings: dict[str, object] = field(default_factory=dict)
    cpu: bool = False
    micro_batch_size: int = 1
    layout: str = ""  # of pairs
    wanted: (
        tuple[Wanted, ...] | None
    ) = ()  # the datasets named; none: the step before's; None: they do not fit together
    source: Source | None = None
    rows: int | None = None  # of the train split
    mixture: list[MixedSource] = field(default_factory=list)  # what is taken of each dataset, if something is mixed
    model: Model | None = None
    has_sound_files: bool = True  # the model, as far as its tokenizer depends on them; if not, that is not loaded
    projections: tuple[str, ...] = ()  # of the model: what an adapter can be put on; empty while it is not here
    chat: "Chat | None" = None
    plan: Plan | None = None

    def add(self, *faults: Fault) -> None:
        """Add faults, skipping duplicates."""
        self.faults += [fault for fault in faults if fault not in self.faults]

    def lacking(self, *faults: Fault) -> None:
        """Add what this machine lacks; a dry run reports it without failing."""
        if self.dry:
            self.lacks += [fault for fault in faults if fault not in self.lacks]
        else:
            self.add(*faults)

    def refuse(self) -> None:
        """Raise if there are faults, with all of them in one message.

        The exit code is 5 when a row, model or template is at fault, else 2 when an option is, else 4.

        Raises:
            PreflightFailed: with each fault's name, what was seen, and what to do.
        """
        if not self.faults:
            return
        failed = PreflightFailed(listed(self.faults), "nothing was trained; fix them and run the command again")
        failed.exit_code = max((fault.exit_code for fault in self.faults), key=SEVERITY.index)
        raise failed

    def record(self) -> dict[str, object]:
        """Return everything JSON-ready."""
        fault_lists = {
            name: [dataclasses.asdict(fault) for fault in getattr(self, name)] for name in ("faults", "lacks")
        }
        return {"plan": self.plan.record() if self.plan else None, "notes": self.notes, **fault_lists}

    def inputs(self) -> dict[str, str]:
        """Return the names of the run's inputs, for people; digests are in the job."""
        assert self.source is not None and self.model is not None
        return {
            "model": with_commit(self.model.name, self.model.commit),
            "rows": "; ".join([self.source.label, *map(part_text, self.mixture)]),
        }

    def text(self, *, whole_table: bool = False) -> str:
        """Return the plan, the notes, and what this machine lacks; `whole_table`: memory of every setting."""
        parts = [plan_text(self.plan, whole_table=whole_table)] if self.plan else []
        parts += ["\n".join(f"note    {note}" for note in self.notes)] if self.notes else []
        parts += ["on this machine it would not run:\n  " + "\n  ".join(map(str, self.lacks))] if self.lacks else []
        return "\n\n".join(parts)


def listed(faults: list[Fault]) -> str:
    """Return the faults as one message."""
    lines = [f"{fault}\n    → {fault.hint}" for fault in faults]
    return "\n  ".join([f"preflight found {len(faults)} fault{'s' * (len(faults) != 1)}:", *lines])
