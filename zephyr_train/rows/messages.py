"""Lists of messages as flat columns with offsets, cut, compared and inspected without a loop over rows."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from zephyr_core.template import ROLES
from zephyr_train.errors import RowsUnfit
from zephyr_train.rows.message_fields import MessagePlace, other_fields, refuse_meaningful, silent_messages

_ROLE, _CONTENT = ("role", "from"), ("content", "value")


@dataclass(frozen=True)
class ChunkOrigin:
    """Where the rows of a chunk come from, for messages to the user."""

    file: str
    rows: Sequence[int]  # the number of each row in its file, from 1; in JSON Lines, the line number
    columns: tuple[str, ...] = ()  # all columns of the file

    def row(self, index: int) -> str:
        """Return the name of the chunk's row `index`."""
        return f"{self.file}, row {self.rows[index]}"


@dataclass(frozen=True)
class Messages:
    """The message lists of n rows: row i holds messages offsets[i] .. offsets[i + 1]."""

    offsets: Any  # numpy int64 (n + 1), from 0
    roles: Any  # pyarrow string (messages): user, assistant or system; null as read
    contents: Any  # pyarrow string (messages); null as read
    silent: Any = None  # numpy bool (messages): no loss on it; None: there is none
    others: Counter[str] = field(default_factory=Counter)  # field that is not read → messages that have it

    @property
    def lengths(self) -> Any:
        """Return the number of messages of each row, numpy int64 (n)."""
        return self.offsets[1:] - self.offsets[:-1]

    def owners(self) -> Any:
        """Return the row of each message, numpy int64 (messages)."""
        import numpy as np

        return np.repeat(np.arange(len(self.offsets) - 1), self.lengths)

    def number(self, marked: Any) -> Any:
        """Return how many messages of each row are marked: numpy bool (messages) → int64 (n)."""
        import numpy as np

        return np.bincount(self.owners()[marked], minlength=len(self.offsets) - 1)

    def rows_with(self, marked: Any) -> Any:
        """Return which rows hold a marked message: numpy bool (messages) → (n)."""
        return self.number(marked) > 0

    def cut(self, starts: Any, stops: Any) -> "Messages":
        """Return messages starts[i] .. stops[i] of each row, counted from its first message; numpy int64 (n) each."""
        import numpy as np

        lengths = stops - starts
        offsets = np.concatenate(([0], np.cumsum(lengths)))
        inside = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths)
        indices = np.repeat(self.offsets[:-1] + starts, lengths) + inside
        silent = None if self.silent is None else self.silent[indices]
        return Messages(offsets, self.roles.take(indices), self.contents.take(indices), silent, self.others)

    def is_null(self) -> Any:
        """Return which messages lack a role or a text, numpy bool (messages)."""
        return _numpy(self.roles.is_null()) | _numpy(self.contents.is_null())

    def is_blank(self) -> Any:
        """Return which messages are empty or only white space, numpy bool (messages)."""
        import pyarrow.compute as pc

        texts = self.contents.fill_null("")
        return _numpy(pc.equal(texts, "")) | _numpy(pc.utf8_is_space(texts))

    def has_role(self, role: str) -> Any:
        """Return which messages have that role, numpy bool (messages)."""
        import pyarrow.compute as pc

        return _numpy(pc.equal(self.roles.fill_null(""), role))

    def differ(self, other: "Messages", *, trimmed: bool = False) -> Any:
        """Return which rows differ in number of messages, roles or texts (`trimmed`: ignoring outer white space)."""
        import numpy as np
        import pyarrow.compute as pc

        unlike = self.lengths != other.lengths
        mine, theirs = self, other
        if unlike.any():
            both = np.where(unlike, 0, self.lengths)
            mine, theirs = self.cut(both * 0, both), other.cut(both * 0, both)
        texts = [messages.contents.fill_null("") for messages in (mine, theirs)]
        if trimmed:
            texts = [pc.utf8_trim_whitespace(text) for text in texts]
        roles = pc.not_equal(mine.roles.fill_null(""), theirs.roles.fill_null(""))
        return unlike | mine.rows_with(_numpy(pc.not_equal(*texts)) | _numpy(roles))

    def silent_numbers(self) -> Any:
        """Return the numbers of each row's messages without a loss, a pyarrow list<int32>."""
        import numpy as np
        import pyarrow as pa

        silent = np.zeros(int(self.offsets[-1]), bool) if self.silent is None else self.silent
        numbers = np.flatnonzero(silent) - self.offsets[self.owners()[silent]]
        offsets = np.concatenate(([0], np.cumsum(self.number(silent))))
        return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(numbers, pa.int32()))

    def array(self) -> Any:
        """Return the rows as a pyarrow list<struct<role, content>>."""
        import pyarrow as pa

        structs = pa.StructArray.from_arrays([self.roles, self.contents], names=["role", "content"])
        return pa.ListArray.from_arrays(pa.array(self.offsets, pa.int32()), structs)


def from_texts(texts: Any, role: str) -> Messages:
    """Return one message of that role for each text (pyarrow string)."""
    import numpy as np
    import pyarrow as pa

    return Messages(np.arange(len(texts) + 1), pa.repeat(pa.scalar(role), len(texts)), texts.cast(pa.string()))


def from_column(column: Any, role: str, name: str, origin: ChunkOrigin) -> Messages:
    """Return the messages of a column of texts (each one message of `role`), of messages, or of lists of them.

    Raises:
        RowsUnfit: the column has an unsupported type, or a role that no template knows.
    """
    import numpy as np
    import pyarrow as pa

    if _is_text(column.type):
        return from_texts(column, role)
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        lengths, structs = _numpy(column.value_lengths().fill_null(0)), column.flatten()
    else:
        lengths, structs = np.ones(len(column), np.int64), column
    offsets = np.concatenate(([0], np.cumsum(lengths, dtype=np.int64)))
    if pa.types.is_null(structs.type):
        nothing = pa.nulls(len(structs), pa.string())
        return Messages(offsets, nothing, nothing)
    roles = _field(structs, _ROLE, name, origin)
    contents = _field(structs, _CONTENT, name, origin)
    place = MessagePlace(offsets, name, origin)
    refuse_meaningful(structs, place)
    return Messages(
        offsets,
        _template_roles(roles, offsets, name, origin),
        contents,
        silent_messages(structs, place),
        other_fields(structs, (*_ROLE, *_CONTENT)),
    )


def _is_text(kind: Any) -> bool:
    import pyarrow as pa

    return any(test(kind) for test in (pa.types.is_string, pa.types.is_large_string, pa.types.is_null))


def _field(structs: Any, names: tuple[str, str], column: str, origin: ChunkOrigin) -> Any:
    """Return the first field in `names` that the messages have, as text; a null message has null fields."""
    import pyarrow as pa

    hint = "a message is {role, content} or {from, value}, both text"
    if not pa.types.is_struct(structs.type):
        raise RowsUnfit(f"column {column!r} of {origin.file} holds {structs.type}; text or messages are expected", hint)
    fields = {structs.type.field(index).name: index for index in range(structs.type.num_fields)}
    position = next((fields[name] for name in names if name in fields), None)
    if position is None:
        raise RowsUnfit(
            f"messages of column {column!r} of {origin.file} have no {names[0]!r}; found {_list(fields)}", hint
        )
    if not _is_text(structs.type.field(position).type):
        kind = structs.type.field(position).type
        raise RowsUnfit(f"messages of column {column!r} of {origin.file} hold {kind} where text is expected", hint)
    return structs.flatten()[position].cast(pa.string())


def _template_roles(roles: Any, offsets: Any, column: str, origin: ChunkOrigin) -> Any:
    """Return the roles under the names that templates use; null stays null."""
    import numpy as np
    import pyarrow as pa

    coded = roles.dictionary_encode()
    read = coded.dictionary.to_pylist()
    names = [ROLES.get(role.lower()) for role in read]
    if None in names:
        strange = names.index(None)
        first = int(np.flatnonzero(_numpy(coded.indices.fill_null(-1)) == strange)[0])
        where = origin.row(int(np.searchsorted(offsets, first, side="right")) - 1)
        raise RowsUnfit(
            f"{where}: a message of column {column!r} has the role {read[strange]!r}",
            "roles are user, assistant and system; convert or leave out such rows",
        )
    return roles if names == read else pa.array(names, pa.string()).take(coded.indices)


def _numpy(array: Any) -> Any:
    return array.to_numpy(zero_copy_only=False)


def _list(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in names)
