"""What happened to rows during tokenization: counts, a line for each changed row, and the keys of faulty ones."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from zephyr_core.faults import Fault, keys_line
from zephyr_core.template import Cleaned
from zephyr_train.tokenizing.token_rows import Limits

if TYPE_CHECKING:
    import pyarrow

# name → (what was seen, what to do); {max_length} is filled in
_FAULTS = {
    "template-refuses": (
        "the chat template refuses the dialogue",
        "use a template that takes its roles and their order (`zephyr` takes any), or leave the row out",
    ),
    "prompt-not-prefix": (
        "the prompt's tokens are not the first ones of prompt and reply: training would not see what inference does",
        "a token spans the start of the reply, or the template renders a prompt differently when a reply"
        " follows: use `zephyr`, or strip white space from the start of the reply",
    ),
    "inner-reply-differs": (
        "the template renders a reply inside the dialogue differently from one at its end",
        "use a template that renders every reply alike: `zephyr`, or one made for training as the model's"
        " chat_template.jinja (for Qwen3, TRL has chat_templates/qwen3_training.jinja); or split the dialogues by turn",
    ),
    "eos-not-in-loss": (
        "a reply does not end in the tokenizer's EOS token, so the model would not learn to stop",
        "use the template `zephyr`, or name as eos_token the token that ends a turn of the model's own template",
    ),
    "text-not-rendered": (
        "the chat template leaves out the text of a message",
        "use a template that writes texts as they are: some want lists of parts, some drop what is in <think>",
    ),
    "two-eos": (
        "a reply ends in EOS twice, so the model would learn to write it twice",
        "name as eos_token the token that ends a turn of the template once, or use the template `zephyr`",
    ),
    "double-bos": (
        "BOS appears twice, or inside a turn",
        "remove BOS from the chat template, or let it be rendered at the beginning only, or of each turn after EOS",
    ),
    "inference-differs": (
        "the tokens differ from those of the saved tokenizer's apply_chat_template",
        "report it with the name of the model: this is a fault of zephyr",
    ),
    "not-one-reply": (
        "a completion is not exactly one assistant message",
        "make the pairs with `zephyr data binarize`, or trim `chosen` and `rejected` to the reply",
    ),
    "weight-and-loss-on-all": (
        "a message has a weight of 0, and loss_on is `all`",
        'write `loss_on = "assistant"` under [sft] of the recipe, or remove the weights',
    ),
    "overlong": (
        "the row is longer than max_length {max_length} tokens, and on_overlong is `error`",
        "raise max_length, or use `--on-overlong drop`, or let it be cut (docs/training.md)",
    ),
}
# Faults of single rows, which may be left out; the others are of zephyr, or of an option.
DROPPABLE = tuple(name for name in _FAULTS if name not in ("inference-differs", "overlong"))
MOST_DROPPED = 0.05  # of the rows: with more, it is not the rows that are at fault
_DIALOGUE_COUNTS = ("trailing_turn_rows", "cut_rows", "no_eos_rows", "dropped_no_loss_rows")
_PAIR_COUNTS = ("prompt_cut_rows", "completion_cut_rows", "no_eos_rows", "dropped_equal_after_cut_rows")
_COUNTS = (
    "read_rows",
    "kept_rows",
    "faulty_rows",
    "tokens",
    "loss_tokens",
    "escaped_rows",
    "stripped_rows",
    "overlong_rows",
    "dropped_overlong_rows",
)


def dropped_rows(reason: str) -> str:
    """Return the name of the count of rows that were dropped for a reason."""
    return f"dropped_{reason.replace('-', '_')}_rows"


@dataclass
class Tally:
    """Adds up counts over the batches of one split; `kind` is dialogues or pairs.

    read_rows = kept_rows + faulty_rows + each dropped_*_rows. Rows are also counted under what was done to them:
    escaped, stripped, trailing_turn (turns after the last reply cut off), overlong (longer than max_length before any
    cut), prompt_cut, completion_cut, cut, no_eos (no reply is left whole; for a pair, not both are).
    """

    kind: str
    counts: Counter[str] = field(default_factory=Counter)
    changed: list[tuple[str, str | None, str, int | None, int | None]] = field(default_factory=list)
    faulty: dict[str, list[tuple[str, str]]] = field(default_factory=lambda: defaultdict(list))  # keys and details

    def change(
        self, row: tuple[str, str | None], what: str, before: int | None = None, after: int | None = None
    ) -> None:
        """Record what was done to the row (key, prompt_id), and its tokens before and after if their number changed."""
        self.changed.append((*row, what, before, after))

    def note_cleaned(self, row: tuple[str, str | None], parts: Sequence[Cleaned]) -> None:
        """Count and record a row in which any part was escaped or stripped."""
        for what, times in (
            ("escaped", sum(part.escaped for part in parts)),
            ("stripped", sum(part.stripped_turns for part in parts)),
        ):
            if times:
                self.counts[f"{what}_rows"] += 1
                self.change(row, what)

    def drop(self, row: tuple[str, str | None], reason: str, tokens: int | None) -> None:
        """Count and record a dropped row and the tokens lost with it; None: they were never counted."""
        self.counts[dropped_rows(reason)] += 1
        self.change(row, f"dropped-{reason}", tokens, None if tokens is None else 0)

    def fault(self, row: tuple[str, str | None], name: str, limits: Limits, detail: str = "") -> None:
        """Count a faulty row, or drop it if faulty rows are to be dropped; `detail` is what a library said of it."""
        self.faulty[name].append((row[0], detail))
        if limits.on_faulty == "drop" and name in DROPPABLE:
            self.drop(row, name, None)
        else:
            self.counts["faulty_rows"] += 1

    def add(self, other: "Tally") -> None:
        """Add the tally of another batch."""
        self.counts.update(other.counts)
        self.changed += other.changed
        for name, keys in other.faulty.items():
            self.faulty[name] += keys

    def all_counts(self) -> dict[str, int]:
        """Return every count of the kind, including zeros."""
        names = (*_COUNTS, *(_DIALOGUE_COUNTS if self.kind == "dialogues" else _PAIR_COUNTS))
        return {**dict.fromkeys(names, 0), **self.counts}

    def faults(self, limits: Limits) -> list[Fault]:
        """Return the faults of all rows together, with the keys of the first few."""
        faults = []
        read = self.counts["read_rows"]
        dropped = sum(self.counts[dropped_rows(name)] for name in DROPPABLE)
        is_handful = dropped <= max(1, int(read * MOST_DROPPED))
        for name, (message, hint) in _FAULTS.items():
            rows = sorted(self.faulty.get(name, ()))
            if not rows or (limits.on_faulty == "drop" and name in DROPPABLE and is_handful):
                continue
            text = ": ".join(filter(None, [message.format(max_length=limits.max_length), rows[0][1]]))
            keys = keys_line([key for key, _ in rows])
            faults.append(Fault(name, f"{text}: {len(rows):,} of {read:,} rows (keys {keys})", self._hint(name, hint)))
        incomplete = self.counts["dropped_overlong_rows"] + self.counts["no_eos_rows"]
        if incomplete and incomplete == read - self.counts["faulty_rows"] - dropped:
            faults.append(self._all_overlong(limits))
        if not faults and self.counts["read_rows"] and not self.counts["kept_rows"]:
            reasons = ", ".join(f"{rows:,} {name}" for name, rows in self.counts.items() if name.startswith("dropped_"))
            faults.append(Fault("no-rows", f"no row is left to train on: {reasons}", "look at the rows of the dataset"))
        return faults

    def _hint(self, name: str, hint: str) -> str:
        """Return what to do about a fault, with the option that leaves its rows out if they are few."""
        few = len(self.faulty[name]) <= max(1, int(self.counts["read_rows"] * MOST_DROPPED))
        if name not in DROPPABLE:
            return hint
        if self.counts[dropped_rows(name)]:
            return f"{hint}; these are more than the {MOST_DROPPED:.0%} of the rows that on_faulty leaves out"
        return f"{hint}; or leave these rows out with `--on-faulty drop`" if few else hint

    def _all_overlong(self, limits: Limits) -> Fault:
        rows = f"all {self.counts['read_rows']:,} rows are longer than max_length {limits.max_length} tokens"
        outcome = "are dropped" if self.counts["dropped_overlong_rows"] else "lose their EOS"
        return Fault("all-overlong", f"{rows} and {outcome}", "raise max_length; look at the lengths with `--dry-run`")

    def changed_table(self) -> "pyarrow.Table":
        """Return a line for each change of a row.

        Columns: key, prompt_id, what (string), before_tokens, after_tokens (int32, null if the length did not change)
        """
        import pyarrow as pa

        names = ("key", "prompt_id", "what", "before_tokens", "after_tokens")
        types = (pa.string(), pa.string(), pa.string(), pa.int32(), pa.int32())
        columns: Iterable[tuple[object, ...]] = zip(*self.changed, strict=True) if self.changed else ((),) * 5
        return pa.table([pa.array(column, kind) for column, kind in zip(columns, types, strict=True)], names=names)
