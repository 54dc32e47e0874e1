"""What zephyr keeps on disk as JSON, as types: manifests, plans, metrics, the record of a whole run.

A key that an older version, or another step, leaves out is NotRequired. `zephyr_core.shape` checks files against these.
"""

from typing import Literal, NotRequired, TypedDict


class FileEntry(TypedDict):
    """A file below the folder."""

    bytes: int
    sha256: str
    mtime_ns: NotRequired[int]  # of its last change, in nanoseconds since 1970


class Whole(TypedDict):
    """What every manifest has besides its own content."""

    format: int
    files: dict[str, FileEntry]  # relative path → entry
    self_digest: NotRequired[str]  # of everything else in the manifest


class Manifest(Whole):
    """A manifest of any kind."""

    kind: str


class SplitEntry(TypedDict):
    """A split of a dataset."""

    rows: int
    rows_digest: str


class InputEntry(TypedDict):
    """A raw file that a dataset was made from."""

    source: str
    file: str
    bytes: int
    sha256: str
    lines: int | None  # None: `limit` ended it early
    fault: str | None  # why rows of it may be missing
    note: NotRequired[str | None]  # what else was noticed; no row is missing
    real_path: NotRequired[str | None]  # where it is, if a link leads out of the source


class PassedOver(TypedDict):
    """An entry of a source that was not read."""

    source: str
    file: str  # a folder ends with a slash
    why: str


class OptionsRecord(TypedDict):
    """The resolved options of a step, each with the place it came from."""

    recipe: str
    values: dict[str, object]
    origins: dict[str, str]


class Counts(TypedDict):
    """What a data step counted, in rows unless the name says otherwise."""

    rows_read: int
    kept_rows: int
    dropped: dict[str, int]  # "stage/reason" → rows
    cut_rows: NotRequired[int]  # dialogues
    cut_turns: NotRequired[int]
    system_turn_rows: NotRequired[int]  # kept with a system turn as a message of its own
    other_messages: NotRequired[int]  # on other paths of trees than the best
    read_otherwise: NotRequired[dict[str, int]]  # rule of reading → dialogues that it cut or folded
    spared: NotRequired[dict[str, int]]  # exemption, or option that overrules → hits of rules
    named_rows: NotRequired[dict[str, int]]  # of the rows to spare: "kept", or "stage/reason" → rows
    rewritten_rows: NotRequired[int]
    rewritten_turns: NotRequired[int]
    rewritten_words: NotRequired[int]
    repaired_scores: NotRequired[int]  # pairs
    tied_rows: NotRequired[int]
    unreadable_answers: NotRequired[int]  # answers with a rating or score that was not used
    given_rows: NotRequired[int]  # kept rows that were pairs already
    published: NotRequired[dict[str, int]]  # "train" or "test" → kept rows that were given as pairs of that side
    ranked_rows: NotRequired[int]  # kept rows whose answers were ranked, rank 1 the best
    rated_twice_answers: NotRequired[int]  # answers with several ratings of one aspect, of all rows read
    rated_apart_answers: NotRequired[int]  # those of them with different ones
    doubts: NotRequired[dict[str, int]]  # what is doubtful about pairs → kept rows
    pairs: NotRequired[int]
    longer_chosen_pairs: NotRequired[int]
    equally_long_pairs: NotRequired[int]
    indented_chosen_pairs: NotRequired[int]  # only the chosen answer begins with white space
    indented_rejected_pairs: NotRequired[int]
    chosen_characters: NotRequired[int]
    rejected_characters: NotRequired[int]
    compared_rows: NotRequired[int]
    disagreeing_rows: NotRequired[int]
    margins: NotRequired[dict[str, int]]  # score margin → pairs
    wins: NotRequired[dict[str, int]]  # model → pairs
    losses: NotRequired[dict[str, int]]


class DatasetContent(TypedDict):
    """What a data step says about its dataset."""

    kind: Literal["dialogues", "pairs"]
    step: str
    options: OptionsRecord
    inputs: list[InputEntry]
    passed_over: NotRequired[list[PassedOver]]
    bytes_read: int
    rules: dict[str, str]  # rule or benchmark file → sha256
    tables: NotRequired[list[str]]  # folders of further tables
    counts: Counts
    splits: dict[str, SplitEntry]
    dropped_digest: str
    stages: NotRequired[list[str]]  # in the order that rows pass through them
    versions: dict[str, str]
    seconds: float
    finished: str  # UTC, ISO 8601


class DatasetManifest(DatasetContent, Whole):
    """The manifest of a dataset."""


class MixedSource(TypedDict):
    """What a mixture of datasets takes of one of them."""

    source: str  # for people
    digest: str
    rows: int  # of train, drawn
    available: int  # of train
    share: float  # of the mixture's train rows, 0..1
    test_rows: int


class PlannedRows(TypedDict):
    """The rows of an epoch, as a plan counts them."""

    rows: int | None
    unit: str
    source: NotRequired[str]
    known: NotRequired[bool]
    mixture: NotRequired[list[MixedSource]]


class PlannedTokens(TypedDict, total=False):
    """Lengths of token rows."""

    mean_tokens: float
    longest_tokens: int
    packed_rows: int | None
    packing_fill_share: float | None


class PlanRecord(TypedDict, total=False):
    """plan.json of a training run, as far as other packages read it."""

    model: str
    rows: PlannedRows
    batch: str  # the arithmetic, as text
    epochs: int
    steps_per_epoch: int | None
    steps: int | None
    warmup_steps: int | None
    schedule: str
    learning_rate: float
    tokens: PlannedTokens | None
    shape: dict[str, object] | None


class MetricsRow(TypedDict, total=False):
    """A line of metrics.jsonl: one logged step, or one evaluation."""

    step: int
    epoch: float
    split: str  # train | test
    loss: float
    accuracy: float | None
    margin: float
    reward_chosen: float
    reward_rejected: float
    logps_chosen: float
    logps_rejected: float
    token_accuracy: float
    learning_rate: float
    grad_norm: float
    tokens: float


class Verified(TypedDict):
    """The saved model compared with the trained one."""

    logps_difference: float
    rows: int


class ModelManifest(Whole):
    """The manifest of a training run."""

    kind: Literal["model"]
    step: str  # sft | dpo
    recipe: str
    inputs: dict[str, str]  # model and rows, for people
    plan: PlanRecord
    verified: Verified
    results: MetricsRow  # the last evaluation
    versions: dict[str, str]


class ReferenceManifest(Whole):
    """The manifest of reference log-probs."""

    kind: Literal["reference"]
    digest: str
    rows: dict[str, int]  # split → pairs
    model: str  # digest of the weights
    tokens: str  # digest of the token rows
    numerics: str
    versions: dict[str, str]


class TokenSplit(TypedDict):
    """The token rows of a split."""

    rows: int
    counts: NotRequired[dict[str, int]]
    packing: NotRequired[dict[str, int]]


class FaultEntry(TypedDict):
    """A fault of some rows."""

    name: str
    message: str
    hint: str


class TokensManifest(Whole):
    """The manifest of token rows."""

    kind: Literal["tokens"]
    digest: str
    made_of: dict[str, object]
    source: str
    chat: dict[str, object]
    splits: dict[str, TokenSplit]
    dropped_when_read: dict[str, int]
    faults: list[FaultEntry]
    versions: dict[str, str]


class StudentOptionsRecord(TypedDict):
    """The options that a student was built with."""

    values: dict[str, object]


class Texts(TypedDict):
    """The texts that a student's tokenizer was learned from."""

    rows: int
    digest: str


class StudentManifest(Whole):
    """The manifest of a new student."""

    kind: Literal["student"]
    options: StudentOptionsRecord
    texts: Texts
    vocabulary: int
    versions: dict[str, str]


AnyManifest = DatasetManifest | ModelManifest | ReferenceManifest | TokensManifest | StudentManifest


class JobRecord(TypedDict, total=False):
    """job.json of a training run, as far as `zephyr run` and its page read it; zephyr_train.job.Job has every key."""

    options: dict[str, object]
    origins: dict[str, str]
    model: str
    model_digest: str
    tokens_digest: str
    template_digest: str
    reference: str | None
    reference_digest: str | None
    backend: str
    world: int
    cpu: bool
    numerics: str
    layout: str
    steps: int


class StepEntry(TypedDict, total=False):
    """What `zephyr run` recorded about a step in the run's run.json; None is not written."""

    command: list[str] | str | None
    state: str | None  # running | whole | failed
    exit_code: int | None
    seconds: float | None  # taken to make it
    manifest: str | None  # digest of the output's manifest
    content: str | None  # digest of what later steps read of it
    made_of: dict[str, str] | None  # step before → its content
    discards: str | None  # mark of the output that is being replaced
    artefact: str | None  # name of the artefact's folder
