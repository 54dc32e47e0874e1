"""Where a sentence starts, judged by the text before a word, minding abbreviations, names in `!` and quoted speech."""

import re

# Words before a full stop that do not end a sentence.
ABBREVIATIONS = frozenset(
    """
    etc vs viz ie eg cf et
    al ca approx est incl excl resp misc fig figs eq eqs ch sec secs vol vols no nos pp pg ed eds trans
    op ref refs app var sp spp dr mr mrs ms mx st sts prof rev hon sen rep gov pres gen col maj capt cpt lt sgt cmdr
    adm jr sr inc ltd co corp llc plc bros dept univ assn assoc govt ave blvd rd hwy apt mt ft min mins max hr hrs
    wk wks mo mos yr yrs oz lb lbs tbsp tbs tsp pt qt gal doz sq cu temp tel ext jan feb mar apr jun jul aug sept sep
    oct nov dec mon tue tues wed thu thur thurs fri sat sun esp usu orig avg num int ph b.c a.d e.g i.e a.m p.m u.s u.k
    u.n d.c ph.d m.d b.a m.a m.sc b.sc n.b p.s w.r.t a.k.a c.f
    """.split()
)
# Words that begin a sentence even after a capitalised word: "…in Paris. it was".
STARTERS = frozenset(
    """
    it this that these those he she they we you i there here the a an my your his her its our their however therefore
    moreover furthermore additionally also finally overall if when while although though because since once what who
    how why where which whose please let then but so yes no thanks thank some many most each every another both today
    tomorrow yesterday now later next first second third meanwhile instead similarly additionally besides thus hence
    """.split()
)
# The same after a full stop, where a name ending in a mark ("Yahoo! for") cannot mislead.
STARTERS_AFTER_STOP = STARTERS | frozenset(
    "at in on for from with to by as after before during under over of between among through until and or".split()
)
# After these an exclamation or question mark ends a sentence, even if they are capitalised and alone.
INTERJECTIONS = frozenset(
    """
    hello hi hey sure great wow yes no thanks congratulations congrats absolutely certainly exactly indeed awesome
    perfect ok okay welcome oh ah good nice sorry right well amazing excellent enjoy really fantastic wonderful
    interesting cheers bravo hurray hooray yay alas correct true agreed definitely please cool lovely brilliant
    """.split()
)
# Names that end in a mark.
MARKED_NAMES = frozenset("pop yahoo jeopardy joomla kahoot wham guess hallo oklahoma ahoy chunk tada moulin".split())
# Words that continue a sentence after a quotation that ends in a full stop: '"It is so." that means …'.
_AFTER_QUESTION = frozenset("can could would do did describe explain answer".split())  # titles do not continue so
_AFTER_QUOTATION = frozenset("that to from for".split())
_YEAR_OR_SHARE = re.compile(r"(?:1[0-9]|20)\d\d|.*[%$€£].*|\d+\.\d+")
_ACRONYM = re.compile(r"[A-Z]{3,}")
_MARKS, _CLOSERS, _OPENERS = ".!?", "\"”’'»)]*_", "\"“‘'«([*_"
_WINDOW = 120  # characters searched backwards for a token
_LIST_NUMBER = re.compile(r"(?:\A|\n)\s*(?:\d+|[ivxIVX]+|[a-zA-Z])\Z")
_INITIALS = re.compile(r"\w(?:\.\w)*")  # J. R. R., a.m.
_NOT_LETTERS, _VOWEL = re.compile(r"[^a-z]"), re.compile(r"[aeiouy]")
_CODE = re.compile(r"[/\\=<>{}@_]")
_QUOTES = "\"”’'»"


def starts_sentence(text: str, start: int, word: str, *, is_name: bool, is_prose: bool = False) -> bool:
    """Return whether the lower-case `word` at `start` of the text is where a sentence starts.

    `is_name` means that the word is a known name, which may follow any sentence end; `is_prose` that the text is not
    about code, so a full stop after a capitalised word is not the dot of a dotted name.
    """
    opened = text[max(0, start - _WINDOW) : start].rstrip(_OPENERS)
    closed = opened.rstrip()
    ended = closed.rstrip(_CLOSERS)
    before = ended.rstrip(_MARKS)  # … token, marks, closers, space, openers, word
    is_new_line = "\n" in opened[len(closed) :]
    is_aside = text[start - 1] == "(" and not is_new_line
    if len(closed) == len(opened) or len(before) == len(ended) or is_aside:
        return False
    token, marks, closers = before[_token_start(before) :], ended[len(before) :], closed[len(ended) :].strip("*_")
    if "..." in marks:
        return False
    if marks == "..":  # a typo for one, or a short ellipsis
        return word in STARTERS_AFTER_STOP
    if closers:
        return is_new_line or _after_closer(marks, closers, word)
    at, token = start - min(start, _WINDOW) + len(before), token.lstrip("\"“‘'«([*_-—–")
    if marks == ".":
        is_entry = not token or _LIST_NUMBER.search(text, max(0, at - _WINDOW), at)
        return not is_entry and (is_new_line or _after_full_stop(token, word, is_name=is_name, is_prose=is_prose))
    goes_on = "?" in marks and word in _AFTER_QUESTION
    return is_new_line or goes_on or _after_mark(before[: _token_start(before)], token, word, is_name=is_name)


def _token_start(text: str) -> int:
    """Return where the last run without whitespace begins, if the text ends in one, else its end."""
    last = text.rsplit(None, 1)[-1] if text and not text[-1].isspace() else ""
    return len(text) - len(last)


def _after_closer(marks: str, closers: str, word: str) -> bool:
    # '"Stop!" he said' goes on; '…the end." it was' does not
    return marks == "." and closers[-1] in _QUOTES and word in STARTERS - _AFTER_QUOTATION


def _after_full_stop(token: str, word: str, *, is_name: bool, is_prose: bool) -> bool:
    if _is_abbreviation(token) or _CODE.search(token):
        return False
    if "." in token and not _YEAR_OR_SHARE.fullmatch(token):  # "os.path. join" versus "on example.com. it is"
        return word in STARTERS
    if token[0].isupper() or token[0].isdigit():  # "Math. floor" versus "in Paris. it was"
        if word in STARTERS_AFTER_STOP or is_name:
            return True
        return is_prose and (not token[0].isdigit() or bool(_YEAR_OR_SHARE.fullmatch(token)))
    return True


def _is_abbreviation(token: str) -> bool:
    lower = token.lower()
    if lower in ABBREVIATIONS or _INITIALS.fullmatch(token):
        return True
    if _ACRONYM.fullmatch(token):
        return False
    letters = _NOT_LETTERS.sub("", lower)
    return bool(letters) and not _VOWEL.search(letters)  # mgmt., qty.


def _after_mark(earlier: str, token: str, word: str, *, is_name: bool) -> bool:
    if token.lower() in MARKED_NAMES or token.isdigit():  # "Pop! figures", "5! permutations"
        return word in ("it", "this", "these", "you", "we", "they", "however") and not token.isdigit()
    if token.startswith("#"):  # "#VALUE! when"
        return False
    if not token[:1].isupper():  # "with you! charles"
        return bool(token) or word in STARTERS
    stands_alone = not earlier.strip() or bool(re.search(r"[.!?\n]\s*$", earlier))
    if stands_alone and (token.lower() in INTERJECTIONS or is_name):
        return True
    return word in STARTERS - {"no", "some", "many", "most", "each", "every", "both", "a", "an", "the"}
