"""What must keep its case whatever stands around it: code, addresses, maths, markup, identifiers."""

import re
from functools import lru_cache

_FENCED = re.compile(r"```.*?(?:```|\Z)|~~~.*?(?:~~~|\Z)", re.DOTALL)
# What a text must hold one of → the span that is then looked for. A pattern is made of those that a text can hold,
# since few texts hold many of them; the order decides between spans that start at one place.
_SPANS = (
    (("`",), r"`[^`\n]+`"),  # inline code
    (("$$",), r"\$\$[^$]+\$\$"),  # maths
    (("\\[",), r"\\\[(?s:.+?)\\\]"),
    (("\\(",), r"\\\([^\n]+?\\\)"),
    (("$",), r"\$[^$\n]{1,80}\$"),
    (("\\",), r"\\[A-Za-z]+(?:\{[^{}\n]*\})*"),  # a LaTeX command
    (("<!--",), r"<!--(?s:.*?)-->"),  # markup, and a line of it
    (("<",), r"(?m:^[ \t]*<\w[^<>\n]*>.*</\w+>[ \t]*$)"),
    (("<",), r"</?[A-Za-z][^<>\n]{0,200}>"),  # a tag
    ((">",), r"(?m:^[ ]{0,3}>.*$)"),  # a block quotation
    (("&",), r"&\#?\w{2,8};"),
    (("://",), r"(?:https?|ftp|file)://[^\s<>\"]+"),  # addresses
    (("www.",), r"\bwww\.[^\s<>\"]+"),
    (("@",), r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"),
    (("/",), r"(?<!\w)(?:~|\.{1,2})?/[\w.@%+~-]+(?:/[\w.@%+~-]*)*"),  # paths
    ((":\\",), r"\b[A-Za-z]:\\[^\s\"<>|]*"),
    (("$ ", ">>> ", "% ", "> "), r"(?m:^[ ]{0,3}(?:\$|>>>|%|C:\\>)[ ]\S.*$)"),  # a command at a prompt
    (("    ", "\t"), r"(?m:^(?:[ ]{4,}|\t+)\S.*[;{}()=\[\]<>].*$)"),  # an indented line of code
    ((";", "{", "}", "):"), r"(?m:^[ ]*\S.*(?:;|\{|\}|\):)[ ]*$)"),  # a bare line of code
    ((" = ", ' "', " '"), r"(?m:^[ ]*(?:\w+[ ]=[ ]\S.*|\w+[ ][\"'].*[\"'][;)]?)$)"),  # an assignment, a bare call
    (
        (),
        r"(?m:^[ ]*(?:import|from|def|for|if|elif|while|return|print|puts|select|sudo|pip|npm|git)[ ].*[\w)\]\"']$)",
    ),
    (("#",), r"(?<!\w)\#\w+"),  # hashtags and handles
    (("@",), r"(?<!\w)@\w+"),
    ((), r"\b\w+(?:[.:]{1,2}\w+)+(?:\(\))?"),  # dotted names: os.path, Node.js, a.m
    (("_",), r"\b\w*_\w+"),  # identifiers and calls
    (("(",), r"\b\w+\("),
    ((), r"\b\w*\d\w*"),  # words with digits
    (("-",), r"(?<!\w)--?[A-Za-z][\w-]*=?"),  # flags
    (("{",), r"\{\{?[^{}\n]*\}?\}"),  # placeholders, Markdown links
    (("](",), r"\[[^\]\n]*\]\([^)\n]*\)"),
)
_QUOTATION = re.compile(r'"[^"\n]{3,600}"|“[^”\n]{3,600}”')
HOLE = "\ue000"  # stands for a protected character: private use, neither letter nor space


def blank_protected(text: str) -> str:
    """Return the text with every protected character replaced by HOLE; same length."""
    if "```" in text or "~~~" in text:
        text = _FENCED.sub(_hole, text)
    return _pattern(tuple(not signs or any(sign in text for sign in signs) for signs, _ in _SPANS)).sub(_hole, text)


@lru_cache(maxsize=1_000)
def _pattern(possible: tuple[bool, ...]) -> re.Pattern[str]:
    return re.compile("|".join(span for (_, span), is_possible in zip(_SPANS, possible, strict=True) if is_possible))


def blank_quotations(text: str, said: str) -> str:
    """Return the text with HOLE for what it quotes from `said`, the user's words; same length."""
    return _QUOTATION.sub(lambda match: _hole(match) if match[0][1:-1].strip() in said else match[0], text)


def _hole(match: re.Match[str]) -> str:
    return HOLE * len(match[0])
