"""Translation tasks: an English request for another language, and a reply in one."""

import re

import polars as pl

from zephyr_data.cleaning.detector import guesses
from zephyr_data.cleaning.language import (
    COMMONEST,
    FEW_WORDS,
    FUNCTION_WORDS,
    ONLY_ENGLISH,
    UNDETERMINED,
    clearly_english,
    detect,
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
_SENTENCE = re.compile(r"(?<=[.!?:])\s+|\n")
_REQUEST = ONLY_ENGLISH | FUNCTION_WORDS | set("into say write give answer explain following text phrase word".split())
ENGLISH_WORDS = 5  # a beginning of a reply with so many of the commonest English words is not looked at
_IS_ENGLISH = rf"(?:(?s: (?:{'|'.join(COMMONEST)}) .*?)){{{ENGLISH_WORDS}}}"
SURE = 0.5  # lowest langdetect probability at which a few words count as the language asked for


def translations(table: pl.DataFrame, turns: int, characters: int) -> pl.DataFrame:
    """Return row, turn, code and text of the replies in another language that an English request asks for.

    Of the first `turns` turns, the first `characters` of a reply are read and returned.

    Columns in:  row, turns
    """
    parts = [_translated(table, turn, characters) for turn in range(1, turns, 2)]
    return pl.concat(parts).sort("row", "turn")


def _translated(table: pl.DataFrame, turn: int, characters: int) -> pl.DataFrame:
    replies = table.select(pl.col("turns").list.get(turn, null_on_oob=True).str.slice(0, characters)).to_series()
    places = (~replies.str.contains(_IS_ENGLISH)).fill_null(False).arg_true()
    requests = table.select("row", request=pl.col("turns").list.get(turn - 1, null_on_oob=True))[places]
    candidates = requests.with_columns(text=replies.gather(places)).filter(
        pl.col("request").str.contains_any([*LANGUAGES, *OTHERWISE], ascii_case_insensitive=True)
    )
    lines = [
        (row, turn, code, text)
        for row, request, text in candidates.filter(~clearly_english(candidates["text"])).rows()
        if (code := translated_into(request, text)) is not None
    ]
    schema = {"row": pl.UInt32, "turn": pl.Int32, "code": pl.String, "text": pl.String}
    return pl.DataFrame(lines, schema=schema, orient="row")


def translated_into(request: str, reply: str) -> str | None:
    """Return the language of a reply, if it is not English and the user's turn asks in English for another language."""
    asking = "\n".join(filter(_is_english_request, _SENTENCE.split(request.lower())))
    if not asking:
        return None
    code = detect(reply)
    if code != UNDETERMINED:
        return None if code == "en" else code
    prose = prose_of(reply)
    is_few = len(WORD.findall(prose)) <= FEW_WORDS
    odds = {name.split("-")[0]: share for name, share in guesses(prose)} if is_few else {}
    wanted = (LANGUAGES[name] for name in _WANTED.findall(asking))
    return next((code for code in wanted if odds.get(code, 0) >= SURE), None)


def _is_english_request(sentence: str) -> bool:
    is_named = _NAMED.search(sentence) is not None
    return is_named and not _REQUEST.isdisjoint(WORD.findall(sentence)) and detect(sentence) in ("en", UNDETERMINED)
