"""Translation tasks: an English request for another language, and a reply in one."""

import re
from collections.abc import Collection, Iterator

import polars as pl

from zephyr_data.cleaning.detector import guesses
from zephyr_data.cleaning.foreign_words import COMMON_FOREIGN
from zephyr_data.cleaning.language import (
    COMMONEST,
    FEW_WORDS,
    FUNCTION_WORDS,
    ONLY_ENGLISH,
    UNDETERMINED,
    clearly_english,
    detect,
    is_foreign,
)
from zephyr_data.cleaning.prose import WORD, prose_of

_CODES = """
afrikaans=af arabic=ar assamese=as bengali=bn bulgarian=bg cantonese=zh catalan=ca chinese=zh croatian=hr czech=cs
danish=da dutch=nl farsi=fa filipino=tl finnish=fi french=fr galician=gl german=de greek=el gujarati=gu hebrew=he
hindi=hi hungarian=hu icelandic=is indonesian=id irish=ga italian=it japanese=ja kannada=kn korean=ko latin=la
lithuanian=lt malayalam=ml mandarin=zh marathi=mr norwegian=no oriya=or panjabi=pa persian=fa polish=pl
portugese=pt portuguese=pt punjabi=pa romanian=ro russian=ru serbian=sr slovak=sk somali=so spanish=es swahili=sw
swedish=sv tagalog=tl tamil=ta telugu=te thai=th turkish=tr ukrainian=uk urdu=ur vietnamese=vi welsh=cy
"""
LANGUAGES = dict(re.findall(r"(\w+)=(\w+)", _CODES))  # as requests name them
OTHERWISE = ("translat", "another language", "second language", "foreign language", "different language")
_NAMED = re.compile(rf"\b(?:{'|'.join(LANGUAGES)})\b|{'|'.join(OTHERWISE)}")
_WANTED = re.compile(rf"\b(?:in|into|to|speak) (?:the )?({'|'.join(LANGUAGES)})\b")
_ENDS = ("\n", ". ", "! ", "? ", ": ")
_REQUEST = ONLY_ENGLISH | FUNCTION_WORDS | set("into say write give answer explain following text phrase word".split())
ENGLISH_WORDS = 4  # a beginning of a reply with so many of the commonest English words is not looked at
_IS_ENGLISH = rf"(?:(?is: (?:{'|'.join(COMMONEST)}) .*?)){{{ENGLISH_WORDS}}}"
SURE = 0.5  # lowest langdetect probability at which a few words count as the language asked for


def translations(table: pl.DataFrame, turns: int, characters: int, languages: Collection[str]) -> pl.DataFrame:
    """Return row, turn and text of the replies that are not in these languages and that English requests ask for.

    Of the first `turns` turns, the first `characters` of a reply are read and returned.

    Columns in:  row, turns
    """
    parts = [_translated(table, turn, characters, languages) for turn in range(1, turns, 2)]
    return pl.concat(parts).sort("row", "turn")


def _translated(table: pl.DataFrame, turn: int, characters: int, languages: Collection[str]) -> pl.DataFrame:
    replies = table.select(pl.col("turns").list.get(turn, null_on_oob=True).str.slice(0, characters)).to_series()
    places = (~replies.str.contains(_IS_ENGLISH)).fill_null(False).arg_true()
    requests = table.select("row", request=pl.col("turns").list.get(turn - 1, null_on_oob=True))[places]
    candidates = requests.with_columns(text=replies.gather(places)).filter(
        pl.col("request").str.contains_any([*LANGUAGES, *OTHERWISE], ascii_case_insensitive=True)
    )
    candidates = candidates.filter(~clearly_english(candidates["text"]))
    lines = [(row, turn, text) for row, request, text in candidates.rows() if is_task(request, text, languages)]
    return pl.DataFrame(lines, schema={"row": pl.UInt32, "turn": pl.Int32, "text": pl.String}, orient="row")


def is_task(request: str, reply: str, languages: Collection[str] = ("en",)) -> bool:
    """Return whether a user asks in English for another language, and gets a reply in one that is not among these."""
    asking = "\n".join(filter(_is_english_request, _naming_sentences(request.lower())))
    if not asking:
        return False
    if is_foreign(reply):
        return not {*languages} - {"en", UNDETERMINED} or detect(reply) not in languages
    prose = prose_of(reply)
    words = WORD.findall(prose)
    wanted = {LANGUAGES[name] for name in _WANTED.findall(asking)}.difference(languages)
    if len(words) > FEW_WORDS or not wanted or sum(map(ONLY_ENGLISH.__contains__, words)):
        return False
    return any(name.split("-")[0] in wanted and share >= SURE for name, share in guesses(prose))


def _naming_sentences(text: str) -> Iterator[str]:
    """Yield the sentences of a text that name a language; finding them by names is faster than looking at each one."""
    names = [name for name in (*LANGUAGES, *OTHERWISE) if name in text]
    for name in re.finditer("|".join(names), text) if names else ():
        start = max(text.rfind(mark, 0, name.start()) for mark in _ENDS) + 1
        end = min((at for mark in _ENDS if (at := text.find(mark, name.end())) >= 0), default=len(text))
        yield text[start:end]


def _is_english_request(sentence: str) -> bool:
    """Return whether a sentence, in lower case, names a language and has more English words than foreign ones."""
    words = WORD.findall(sentence) if _NAMED.search(sentence) else []
    return sum(map(_REQUEST.__contains__, words)) > sum(map(COMMON_FOREIGN.__contains__, words))
