"""Patterns as the engine takes them: Rust regexes over plain forms, and gates over texts as they are.

The engine keeps the last 32 compiled patterns of each thread, and to compile a rule's takes as long as to match it with
a megabyte. Patterns of rules are therefore matched in threads of their own, few in each.
"""

import os
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import count

import polars as pl

from zephyr_data.stages.plain import is_rare

_MARKS = r"\n\t\r*_"
_ATOM = re.compile(r"\\.|\[\^?\]?(?:\\.|\[:\^?\w+:\]|[^\]\\])*\]|[ ']", re.DOTALL)  # what may be replaced
# Of ASCII: on other text, Unicode boundaries take the engine's slow path, and Unicode classes are large.
_ASCII = {r"\b": r"(?-u:\b)", r"\w": "[0-9A-Za-z_]", r"\W": "[^0-9A-Za-z_]", r"\d": "[0-9]"}

_PATTERNS, _THREADS = 24, 4  # patterns for each thread, and how many of these
_numbers = count()


def contains(texts: pl.Series, pattern: str) -> pl.Series:
    """Return whether each plain form matches a pattern."""
    return _matched(texts.str.contains, of_plain(pattern))


def found_words(texts: pl.Series, pattern: str) -> pl.Series:
    """Return what a pattern matches first in each plain form, or null."""
    return _matched(texts.str.extract, of_plain(pattern), 0)


def found_places(texts: pl.Series, pattern: str) -> pl.Series:
    """Return the byte where a pattern first matches in each plain form, or null."""
    return _matched(texts.str.find, of_plain(pattern))


def admits(texts: pl.Series, gate: str) -> pl.Series:
    """Return whether each text, as it is, matches a gate."""
    return _matched(texts.str.contains, of_any(gate))


def passes(texts: pl.Series, gate: str) -> pl.Series:
    """Return whether each text, as it is, passes a gate.

    Those with characters that a gate does not allow for pass, and those that begin with a quotation: blanked, it may
    let a rule hit what follows.
    """
    return _matched(texts.str.contains, rf"""(?:{of_any(gate)})|^\s*["“«'‘]""") | is_rare(texts)


def _matched(match: Callable[..., pl.Series], pattern: str, *arguments: int) -> pl.Series:
    return _thread_of(pattern).submit(match, pattern, *arguments).result()


@lru_cache(256)
def _thread_of(pattern: str) -> ThreadPoolExecutor:
    return _thread(next(_numbers) // _PATTERNS % _THREADS)


@lru_cache(_THREADS)
def _thread(_: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="patterns")


def _forget_threads() -> None:
    """Forget the threads of the process that this one is a copy of."""
    _thread_of.cache_clear()
    _thread.cache_clear()


os.register_at_fork(after_in_child=_forget_threads)


@lru_cache(256)
def of_plain(pattern: str) -> str:
    """Return a pattern for plain forms as the engine takes it.

    A space in it also matches a line break, since a line may be wrapped anywhere. For the same reason, a class of all
    but line breaks and some others is taken as all but the ends of paragraphs and those.
    """
    return _spread(
        pattern, _ASCII | {" ": r"[ \n]", r"\n": r"[\n\x1e]"}, {" ": r"\n", r"\n": r"\x1e"}, {r"\n": r"\x1e"}
    )


@lru_cache(256)
def of_any(gate: str) -> str:
    """Return a gate for texts as they are: a space in it matches any run of white space and emphasis marks."""
    wider = {" ": r"(?:[ \n\t\r*_]+)", "'": "['’]", r"\b": r"(?:(?-u:\b)|_)"}
    return _spread(gate, _ASCII | wider, {" ": _MARKS, "'": "’"})


def _spread(
    pattern: str, wider: dict[str, str], members: dict[str, str], excluded: dict[str, str] | None = None
) -> str:
    """Return the pattern with characters replaced, further members for classes, other ones for negated classes."""

    def widened(atom: re.Match[str]) -> str:
        if len(atom[0]) < 3:
            return wider.get(atom[0], atom[0])
        if atom[0][1] == "^":
            negated = atom[0]
            for narrow, other in (excluded or {}).items():
                negated = negated.replace(narrow, other)
            return negated
        added = [more for character, more in members.items() if character in atom[0]]
        return f"{atom[0][:-1]}{''.join(added)}]"

    return _ATOM.sub(widened, pattern)
