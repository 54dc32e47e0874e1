"""The frozen test of truecasing, as a table: `python -m benchmarks.casing`.

Texts are real dialogues and prose at hand (`casing_texts.py`), in two halves by a hash of the first turn: one to tune
on, one held back. Prose counts as assistant turns. Ours is the stage `truecase`, for both roles, on whole
dialogues; the package `truecase` sees every turn, its words cut by NLTK's rules and mapped back to their places.

- sentence starts: of every second word (by a draw) whose one capital stood behind `.`, `!` or `?` and was lowered,
  those that came back in their old case. Labels and list letters behind such a mark count too; a
  list's numbers, initials and titles (Dr.) end no sentence.
- turn starts: the same for the first word of each turn.
- whole turns: all turns of a role were lowered, the other role's were not; of the words whose case was lost (code in
  fences apart), those that came back.
- lone i: of the I that read as a pronoun and were lowered, those that came back.
- raised in vain: words in lower case before the damage that the whole-turn run raises and the undamaged run does not,
  of all words in lower case.
- harm: changed words of undamaged turns, of all words. Each was read and judged by hand (`tests/labelled/casing.json`:
  right, wrong or neither, such as a casing that is a matter of taste); what is not judged counts as wrong. For the
  package, which nobody judged, all changes count. "Every turn" skips the flag.
"""

import json
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from benchmarks.casing_reasons import decisions
from benchmarks.casing_texts import (
    WORD,
    Damage,
    Row,
    damaged,
    pronouns,
    rows,
    sentence_starts,
    table_of,
    turn_starts,
    whole_turns,
)
from zephyr_data.cleaning.truecase.dialogue import DialogueNames
from zephyr_data.cleaning.truecase.restore import restore
from zephyr_data.cleaning.truecase.stage import FLAG, truecase
from zephyr_data.cleaning.truecase.statistics import statistics

LABELS = Path(__file__).parent.parent / "tests" / "labelled" / "casing.json"
ROLES = ("assistant", "user")
DAMAGES: dict[str, Damage] = {
    "sentence starts": sentence_starts,
    "turn starts": turn_starts,
    "whole turns": whole_turns,
    "lone i": pronouns,
}
_SENTENCE = re.compile(r"\S(?:[^\n]*?[.!?][\"”’')]*(?=\s)|[^\n]*)")
Dialogues = list[list[str]]
Casing = Callable[[Dialogues], Dialogues]


def ours(dialogues: Dialogues) -> Dialogues:
    """Return the dialogues as the stage leaves them."""
    return list(truecase(ROLES)(table_of(dialogues))["turns"].to_list())


def every_turn(dialogues: Dialogues) -> Dialogues:
    """Return the dialogues with each turn restored, flagged or not."""
    restored = []
    for turns in dialogues:
        names = DialogueNames.of(turns, statistics())
        said = ["", *turns]
        restored.append(
            [
                restore(turn, statistics(), said[place] if place % 2 else "", names.lost_in(place))[0]
                for place, turn in enumerate(turns)
            ]
        )
    return restored


def package() -> Casing:
    """Return the peer: the package on every sentence of every turn."""
    from nltk.tokenize import NLTKWordTokenizer
    from truecase.TrueCaser import TrueCaser

    caser, cutter = TrueCaser(), NLTKWordTokenizer()

    def cased(turn: str) -> str:
        pieces, done = [], 0
        for sentence in _SENTENCE.finditer(turn):  # its first word is what the package raises in any case
            first = sentence.start()
            try:
                found = list(cutter.span_tokenize(sentence[0]))
            except ValueError:  # the cutter does not find its own quotation marks again
                found = [match.span() for match in WORD.finditer(sentence[0])]
            spans = [(first + start, first + end) for start, end in found]
            words = caser.get_true_case_from_tokens([turn[start:end] for start, end in spans], "as-is")
            for (start, end), word in zip(spans, words, strict=True):
                pieces += [turn[done:start], word if len(word) == end - start else turn[start:end]]
                done = end
        return "".join([*pieces, turn[done:]])

    return lambda dialogues: [[cased(turn) for turn in turns] for turns in dialogues]


def restored_words(part: list[Row], damage: Damage, role: str, casing: Casing) -> tuple[int, int]:
    """Return how many of the damaged words of a role's turns came back, and how many there were."""
    spans = [list(_spans(row, damage, role)) for row in part]
    after = casing([_damaged(row, places) for row, places in zip(part, spans, strict=True)])
    back = sum(
        turns[turn][start:end] == row.turns[turn][start:end]
        for row, places, turns in zip(part, spans, after, strict=True)
        for turn, start, end in places
    )
    return back, sum(map(len, spans))


def raised_in_vain(part: list[Row], role: str) -> tuple[int, int]:
    """Return how many words that were in lower case a lowered turn got back with a capital, of how many."""
    lowered = [_damaged(row, list(_spans(row, whole_turns, role))) for row in part]
    raised = total = 0
    for row, plain, turns in zip(part, ours([row.turns for row in part]), ours(lowered), strict=True):
        for turn in range(ROLES[::-1].index(role), len(turns), 2):
            for match in WORD.finditer(row.turns[turn]):
                if match[0].islower():
                    total += 1
                    raised += turns[turn][slice(*match.span())] not in (match[0], plain[turn][slice(*match.span())])
    return raised, total


def changed_words(part: list[Row], casing: Casing) -> Iterator[tuple[str, str, str]]:
    """Yield the words of undamaged turns that change: role, key, the word after."""
    for row, turns in zip(part, casing([row.turns for row in part]), strict=True):
        for turn, (before, after) in enumerate(zip(row.turns, turns, strict=True)):
            if before != after:
                for match in WORD.finditer(before):
                    word = after[slice(*match.span())]
                    if word != match[0]:
                        yield ROLES[1 - turn % 2], f"{row.file}:{row.number}:{turn}:{match.start()}:{match.end()}", word


def verdicts(part: list[Row], casing: Casing) -> Counter[tuple[str, str]]:
    """Return how many changed words of each role are right, wrong, neither, or not judged."""
    labels: dict[str, str] = json.loads(LABELS.read_text(encoding="utf-8"))
    return Counter((role, labels.get(f"{key}:{word}", "not judged")) for role, key, word in changed_words(part, casing))


def harmed_words(judged: Counter[tuple[str, str]], role: str) -> int:
    """Return how many changed words of a role are wrong or not judged."""
    return judged[role, "wrong"] + judged[role, "not judged"]


def words(part: Iterable[Row], role: str) -> int:
    """Return how many words the turns of a role have."""
    return sum(len(WORD.findall(turn)) for row in part for turn in row.turns[ROLES[::-1].index(role) :: 2])


def speed(part: list[Row], peer: Casing) -> tuple[float, float, int]:
    """Return CPU-seconds of ours and of the package on the same flagged turns, both warm, and their characters."""
    import polars as pl

    texts = [turn for row in part for turn in row.turns]
    flagged = pl.Series(texts).filter(pl.Series(texts).str.contains(FLAG)).to_list()
    table_in_memory = statistics()

    def seconds(run: Callable[[], object]) -> float:
        start = time.process_time()
        run()
        return time.process_time() - start

    own = min(seconds(lambda: [restore(text, table_in_memory) for text in flagged]) for _ in range(3))
    other = min(seconds(lambda: peer([flagged])) for _ in range(2))
    return own, other, sum(map(len, flagged))


def main() -> None:
    """Print the tables of the held half; `rows` has both."""
    part, peer = [row for row in rows() if row.is_held], package()
    print(f"{len(part):,} held dialogues and pieces of prose.\n")
    print(*_table(["figure", "turns", "ours", "the package"], _body(part, peer)), sep="\n")
    own, other, size = speed(part, peer)
    print(
        f"\nOn the {size / 1e6:.2f} MB of flagged turns, both warm: {other / own:.1f} × ({own:.2f} s, {other:.2f} s)."
    )
    print("\nWords of flagged turns that differ from the likeliest by the package's statistics:\n")
    found = decisions(part)
    print(*_table(["reason", "words"], ([reason, f"{count:,}"] for reason, count in found.most_common())), sep="\n")


def _table(head: list[str], body: Iterable[list[str]]) -> Iterator[str]:
    for row in (head, ["---"] * len(head), *body):
        yield f"| {' | '.join(row)} |"


def _body(part: list[Row], peer: Casing) -> Iterator[list[str]]:
    for name, damage in DAMAGES.items():
        for role in ROLES:
            yield [name, role, *(_share(*restored_words(part, damage, role, casing)) for casing in (ours, peer))]
    for role in ROLES:
        yield ["raised in vain", role, _share(*raised_in_vain(part, role), 3), ""]
    others = Counter(role for role, *_ in changed_words(part, peer))
    for name, casing in (("harm", ours), ("harm, every turn", every_turn)):
        judged = verdicts(part, casing)
        for role in ROLES:
            total = words(part, role)
            yield [name, role, _share(harmed_words(judged, role), total, 4), _share(others[role], total, 1)]
            told = ", ".join(
                f"{judged[role, verdict]} {verdict}" for verdict in ("right", "neither", "wrong", "not judged")
            )
            yield ["… changed words", role, told, ""]


def _spans(row: Row, damage: Damage, role: str) -> Iterator[tuple[int, int, int]]:
    for turn in range(ROLES[::-1].index(role), len(row.turns), 2):
        for start, end in damage(row.turns[turn], f"{row.file} {row.number} {turn}"):
            yield turn, start, end


def _damaged(row: Row, places: list[tuple[int, int, int]]) -> list[str]:
    return [
        damaged(text, [(start, end) for place, start, end in places if place == turn])
        for turn, text in enumerate(row.turns)
    ]


def _share(part: int, whole: int, digits: int = 1) -> str:
    return f"{100 * part / whole:.{digits}f} % ({part:,} / {whole:,})"


if __name__ == "__main__":
    main()
