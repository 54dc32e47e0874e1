"""What must keep its case whatever surrounds it: code, addresses, maths, markup, identifiers."""

import re
from functools import lru_cache

from zephyr_data.cleaning.prose import FENCED
from zephyr_data.cleaning.truecase.unfenced import PROSE, code_blocks

# Signs (a text must hold one) → a test for whether it can hold the span → the span. A text's pattern joins only the
# spans that it can hold, since few texts hold many; the order decides between spans at the same place.
_CODE_WORDS = "import|from|def|for|if|elif|while|return|print|puts|select|sudo|pip|npm|git"
_SPANS = (
    (("`",), "", r"`[^`\n]+`"),  # inline code
    (("$$",), "", r"\$\$[^$]+\$\$"),  # maths
    (("\\[",), "", r"\\\[(?s:.+?)\\\]"),
    (("\\(",), "", r"\\\([^\n]+?\\\)"),
    (("$",), "", r"\$[^$\n]{1,80}\$"),
    (("\\",), "", r"\\[A-Za-z]+(?:\{[^{}\n]*\})*"),  # a LaTeX command
    (("<!",), "", r"<!--(?s:.*?)-->|<![A-Za-z][^<>\n]*>"),  # markup, and a line of it
    (("</",), "", r"(?m:^[ \t]*<\w[^<>\n]*>.*</\w+>[ \t]*$)"),
    (("<",), "", r"</?[A-Za-z][^<>\n]{0,200}>"),  # a tag
    ((">",), "", r"(?m:^[ ]{0,3}>.*$)"),  # a block quotation
    (("&",), "", r"&\#?\w{2,8};"),
    (("://",), "", r"(?:https?|ftp|file)://[^\s<>\"]+"),  # addresses
    (("www.",), "", r"\bwww\.[^\s<>\"]+"),
    (("@",), "", r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"),
    (("/",), r"/(?<!\w/)[\w.@%+~-]", r"(?<!\w)(?:~|\.{1,2})?/[\w.@%+~-]+(?:/[\w.@%+~-]*)*"),  # paths
    ((":\\",), "", r"\b[A-Za-z]:\\[^\s\"<>|]*"),
    (("$ ", ">>> ", "% ", "> "), "", r"(?m:^[ ]{0,3}(?:\$|>>>|%|C:\\>)[ ]\S.*$)"),  # a command at a prompt
    (("    ", "\t"), "", r"(?m:^(?:[ ]{4,}|\t+)\S.*[;{}()=\[\]<>].*$)"),  # an indented line of code
    (
        (";", "{", "}", "):"),
        r"[;{}:][ ]*(?m:$)",
        rf"(?m:^[ ]*(?!{PROSE})\S.*(?:;|\{{|\}}|\):)[ ]*$)",
    ),  # a bare line of code
    ((" = ", ' "', " '"), "", r"(?m:^[ ]*(?:\w+[ ]=[ ]\S.*|\w+[ ][\"'].*[\"'][;)]?)$)"),  # an assignment, a bare call
    ((), rf"(?m:^)[ ]*(?:{_CODE_WORDS})[ ]", rf"(?m:^[ ]*(?:{_CODE_WORDS})[ ].*[\w)\]\"']$)"),
    (("#",), "", r"(?<!\w)\#(?:[A-Z/0]+[!?]|\w+)"),  # errors of a spreadsheet, hashtags and handles
    (("@",), "", r"(?<!\w)@\w+"),
    ((), r"[.:]\w", r"\b\w+(?:[.:]{1,2}\w+)+(?:\(\))?"),  # dotted names: os.path, Node.js, a.m
    (("_",), r"_\w", r"\b\w*_\w+"),  # identifiers and calls
    (("(",), r"\((?<=\w\()", r"\b\w+\("),
    (("-",), r"-(?<!\w-)-?[A-Za-z]", r"(?<!\w)--?[A-Za-z][\w-]*=?"),  # flags
    (("*",), r"\*[a-z]", r"(?<![*\w])\*(?=[a-z])[^*\n]{1,80}\*(?![*\w])"),  # *emotes*
    (("{",), "", r"\{\{?[^{}\n]*\}?\}"),  # placeholders, Markdown links
    (("](",), "", r"\[[^\]\n]*\]\([^)\n]*\)"),
)
_CAN_BE = tuple((signs, re.compile(test) if test else None) for signs, test, _ in _SPANS)
_FROM_DIGIT = re.compile(r"\d\w*")
_QUOTATION = re.compile(r'"[^"\n]{3,600}"|“[^”\n]{3,600}”')
HOLE = "\ue000"  # replaces a protected character: private use, neither letter nor space


def blank_protected(text: str) -> str:
    """Return the text with every protected character replaced by HOLE; same length."""
    if "```" in text or "~~~" in text:
        text = FENCED.sub(_hole, text)
    for start, end in code_blocks(text):
        text = text[:start] + HOLE * (end - start) + text[end:]
    possible = tuple(_can_be(text, signs, test) for signs, test in _CAN_BE)
    if any(possible):
        text = _pattern(possible).sub(_hole, text)
    return _blank_words_with_digits(text)


def _blank_words_with_digits(text: str) -> str:
    pieces, done = [], 0
    for match in _FROM_DIGIT.finditer(text):
        start, end = match.span()
        while start > done and (text[start - 1].isalnum() or text[start - 1] == "_"):
            start -= 1
        pieces += [text[done:start], HOLE * (end - start)]
        done = end
    return "".join([*pieces, text[done:]])


def _can_be(text: str, signs: tuple[str, ...], test: re.Pattern[str] | None) -> bool:
    for sign in signs:
        if sign in text:
            break
    else:
        if signs:
            return False
    return test is None or test.search(text) is not None


@lru_cache(maxsize=1_000)
def _pattern(possible: tuple[bool, ...]) -> re.Pattern[str]:
    return re.compile("|".join(span for (_, _, span), can_be in zip(_SPANS, possible, strict=True) if can_be))


def blank_quotations(text: str, user_text: str) -> str:
    """Return the text with HOLE in place of what it quotes from the user's words; same length."""
    return _QUOTATION.sub(lambda match: _hole(match) if match[0][1:-1].strip() in user_text else match[0], text)


def _hole(match: re.Match[str]) -> str:
    return HOLE * len(match[0])
