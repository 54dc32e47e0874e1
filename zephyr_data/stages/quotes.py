"""Quoted speech: not the voice of the one who writes."""

import re

import polars as pl

_QUOTED = re.compile(
    r""""[^"\n]{1,400}"|“[^”\n]{1,400}”|«[^»\n]{1,400}»"""
    r"""|['‘](?<![^\s(]['‘])[A-Z][^\n]{1,300}?[,.!?]['’](?!\w)"""  # 'Single marks,' around speech, after a space
)
_IN_DOUBLE_MARKS = re.compile(r'"[^"\n]{1,400}"')
_MAY_SPEAK = re.compile("['‘][A-Z]")
# What any of these needs: few texts have it, and to look for them is cheap.
_TELLING = ['"', "“", "«", *(mark + chr(letter) for mark in "'‘" for letter in range(ord("A"), ord("Z") + 1))]


def without_quotes(texts: pl.Series) -> pl.Series:
    """Return the texts with quotations blanked, see `blank_quotes`."""
    places = texts.str.contains_any(_TELLING).arg_true()
    return texts.clone().scatter(places, list(map(blank_quotes, texts.gather(places)))) if len(places) else texts


def blank_quotes(text: str) -> str:
    """Return the text with everything between quotation marks blanked, its length in bytes unchanged.

    Quoted speech is not the writer's own voice; byte offsets still match the original.
    """
    may_speak = "“" in text or "«" in text or _MAY_SPEAK.search(text)
    return (_QUOTED if may_speak else _IN_DOUBLE_MARKS).sub(_blanked, text)


def _blanked(match: re.Match[str]) -> str:
    quoted = match[0]
    return quoted[0] + "\x1a" * len(quoted[1:-1].encode()) + quoted[-1]
