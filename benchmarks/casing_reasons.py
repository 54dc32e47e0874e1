"""Why decisions on flagged turns differ from the plain choice of the package's statistics, each by a named reason."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping

from benchmarks.casing_texts import Row, damaged, whole_turns
from zephyr_data.cleaning.language import FUNCTION_WORDS, looks_english
from zephyr_data.cleaning.truecase.boundaries import ABBREVIATIONS
from zephyr_data.cleaning.truecase.dialogue import DialogueNames
from zephyr_data.cleaning.truecase.masks import HOLE, blank_protected, blank_quotations
from zephyr_data.cleaning.truecase.names import CALENDAR, COMMON_TODAY, NAMES_TODAY, PARTS_OF_NAMES, Names
from zephyr_data.cleaning.truecase.restore import LOWER_BY_NAME, restore, shouts
from zephyr_data.cleaning.truecase.stage import FLAG
from zephyr_data.cleaning.truecase.statistics import statistics

_WORD = re.compile(r"[^\W\d_]+")
_TOKEN = re.compile(r"[^\W\d_]+|\d+|[^\w\s]")
_GLUE = re.compile(rf"[\w@#/\\=<>~|$%^+.:'’{HOLE}-]")
_FLAG = re.compile(FLAG.replace("(?-u:\\b)", r"\b").replace(r"\p{Lo}", "\u00aa\u4e00-\u9fff"))


def decisions(part: list[Row]) -> Counter[str]:
    """Return how many words of flagged turns, undamaged and all in lower case, are cased otherwise, by reason."""
    found = Counter[str]()
    for row in part:
        for is_lowered in (False, True):
            for turn, text in enumerate(row.turns):
                seen = damaged(text, list(whole_turns(text, ""))) if is_lowered else text
                if _FLAG.search(seen):
                    turns = [*row.turns[:turn], seen, *row.turns[turn + 1 :]]
                    found.update(_reasons(seen, row.turns[turn - 1] if turn % 2 else "", _known(turns, turn)))
    return found


def _known(turns: list[str], turn: int) -> Mapping[int, str]:
    return DialogueNames.of(turns, statistics()).lost_in(turn)


def _reasons(text: str, said: str, lost_names: Mapping[int, str]) -> Iterator[str]:
    after, changes = restore(text, statistics(), said, lost_names)
    rules = {change.start: change.rule for change in changes}
    free = blank_quotations(blank_protected(text), said)
    words = _WORD.findall(free)
    if shouts(free, words) or not words or not looks_english([word.lower() for word in words]):
        is_restored = False
    else:
        is_restored = True
    is_all_lower = len(words) >= 3 and all(word == word.lower() for word in words)
    names = Names.ALL_LOWER if is_all_lower else Names.CASED
    tokens = [(match.start(), match.end()) for match in _TOKEN.finditer(text)]
    for at, (start, end) in enumerate(tokens):
        before, own = text[start:end], after[start:end]
        if not before[0].isalpha():
            continue
        previous = after[slice(*tokens[at - 1])] if at else None
        following = after[slice(*tokens[at + 1])].lower() if at + 1 < len(tokens) else None
        word = before.lower()
        scores = statistics().scores(previous, word, following)
        best = [casing for casing in scores if scores[casing] == max(scores.values())] or [word]
        if at == 0:
            best = [casing.capitalize() for casing in best]
        if own in best:
            if len(best) > 1:
                yield "a tie: lower case, then the alphabet (the package: the hash seed)"
        elif HOLE in free[start:end]:
            yield "mask: code, address, maths, a quotation of the user"
        elif not is_restored:
            yield "a turn in capitals" if rules else "a turn not in English"
        elif before != word:
            yield "stands with a capital, and only lower case is raised"
        elif own != before:
            yield _raised(word, rules.get(start, ""), is_known=start in lost_names)
        else:
            yield _kept(word, at, free, start, end, best[0], scores, names)


def _raised(word: str, rule: str, *, is_known: bool) -> str:
    if rule != "name":
        return rule or "other"
    if is_known:
        return "name of the dialogue"
    if word in NAMES_TODAY:
        return "name of today"
    if word in COMMON_TODAY or word in PARTS_OF_NAMES:
        return "part of a name"
    return "day or month" if word in CALENDAR else "a slip of the corpus, or neighbours counted without protected text"


def _kept(  # noqa: PLR0911  each return is a reason
    word: str, at: int, free: str, start: int, end: int, best: str, scores: dict[str, int], names: Names
) -> str:
    if at == 0 and best == word.capitalize():
        return "first word of a turn that does not read as a sentence, or is not a word"
    if word in FUNCTION_WORDS or word == "i":
        return "function word"
    if word in ABBREVIATIONS:
        return "abbreviation"
    if word in LOWER_BY_NAME:
        return "in lower case by its makers"
    if len(word) == 1:
        return "single letter"
    if word in COMMON_TODAY:
        return "common word today"
    if (free[start - 1 : start] and _GLUE.match(free[start - 1 : start])) or _GLUE.match(free[end : end + 1]):
        return "glued to a sign"
    nearby = [match[0].lower() for match in _WORD.finditer(free[max(0, start - 60) : end + 60])]
    if not FUNCTION_WORDS.intersection(nearby):
        return "no word of English nearby"
    if best.isupper():
        return "an acronym of the statistics that is a word or too long"
    if word not in scores or scores[best] < names.margin * scores[word]:
        return "margin"
    return "other"
