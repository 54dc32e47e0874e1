"""What of a text shows its language: its prose in lower case, without code, addresses and drills."""

import re
from collections import Counter

_NOT_PROSE = re.compile(
    r"`[^`\n]*`|https?://\S+|\S+@\S+|<[^>\n]{1,200}>|[!-~]*[_\\{}=;|<>/$\d][!-~]*|(?<![^\W\d_])[a-z](?:\.[a-z])+\b"
)
FENCED = re.compile(r"```.*?(?:```|\Z)|~~~.*?(?:~~~|\Z)", re.DOTALL)
_STATEMENT = re.compile(
    r"\s*(?:[\w.]+\(.*[](){},;:]\s*$|[\w.]+\s*[-+*/|]?=\s*\S.*[^.!?]$|[\w]+(?:\.\w+)+\s*$"
    r"|(?:def|class|if|elif|else|for|while|try|except|with|switch|case|do|function)\b.*[:{]\s*$"
    r"|(?:import|return|from|using|package|var|let|const|public|private|static|void|int|echo|print)\b[ \"-\-/->@-~]*$"
    r"|(?:#\w|//|-- ).*|(?=.*[=(){}<>\[\]$_]).*[;{}]\s*$)",
    re.ASCII,
)
_CODE_MARK = re.compile(r"[_\\{}=;|<>$]|\w\(|\w\.\w|[\])]\s*[.\[(]")
CODE_SHARE = 0.3  # of a line's tokens with such a mark, above which the line is code
STATEMENT_WORDS = 12  # a longer line is no statement
WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_SENTENCE = re.compile(r"(?<=[.!?…。！？])\s+|\n")
_ITEM = re.compile(r"[,;:•·|\"“”«»]")
LONG_ITEM = 6  # words from which a stretch between marks is no item of a list
LEAST_ITEMS = 4  # of a list
DRILL = 3  # a sentence that stands so often is one


def prose_of(text: str) -> str:
    """Return the prose of a text, one sentence to a line; the case of a letter makes no difference."""
    lines = [line for line in FENCED.sub(" ", text.lower()).split("\n") if not _is_code(line)]
    sentences = [
        (" ".join(WORD.findall(part)), part) for part in _SENTENCE.split(_NOT_PROSE.sub(" ", "\n".join(lines)))
    ]
    times = Counter(words for words, _ in sentences)
    once = {words: part for words, part in sentences if words and times[words] < DRILL}
    return "\n".join(once.values())


def without_lists(prose: str) -> str:
    """Return prose without its short items, such as titles and names, if it has several."""
    pieces = [piece for line in prose.split("\n") for piece in _pieces(line)]
    rest = "\n".join(
        piece for piece in pieces if _count(piece) >= LONG_ITEM or piece.rstrip().endswith((".", "!", "?"))
    )
    return rest if len(pieces) - rest.count("\n") > LEAST_ITEMS else prose


def _pieces(line: str) -> list[str]:
    """Return the items of a line that lists several, else the line."""
    items = [item for item in _ITEM.split(line) if WORD.search(item)]
    return items if len(items) >= LEAST_ITEMS else [line]


def _count(text: str) -> int:
    return len(WORD.findall(text))


def _is_code(line: str) -> bool:
    tokens = line.split()
    if len(tokens) <= STATEMENT_WORDS and _STATEMENT.match(line):
        return True
    return line.isascii() and len(list(filter(_CODE_MARK.search, tokens))) > CODE_SHARE * len(tokens)
