"""Lines of code, queries, shells, traces and tables that stand in a text without a fence."""

import re
from itertools import pairwise

_LINES = (  # what no one writes in prose; a line of it begins and ends with spaces at most
    r".*\)[ ]*(?::|\{|=>|->.*|then|do)",
    r"(?:else|try|finally|do|begin|end|fi|done|esac|loop|default|then|repeat)[ ]?:?",
    r"(?:if|elif|while|for|with|def|class|case|except|switch|until|foreach|when)\b.*[()%\[\]=<>_.'\"\d].*:",
    r"(?:for[ ]\w+[ ]in[ ]\w+|if[ ]not[ ]\w+|while[ ]\w+|class[ ]\w+|except[ ]\w+):",
    r"[\w.$@\[\]]+[ ]*=[ ]*\S.*",
    r"(?:(?:await|return|yield|throw|new|print|puts|say|call|let|var|const)[ ]+)?[\w.$]+\(.*\),?",
    r"(?:import|from|package|using|export|require|include)[ ][\w.*\"'</]+(?:[ ](?:import|as)[ ].*)?",
    r"(?:print|puts|echo|printf|console\.log|return)[ ][\"'\w$].*",
    r"(?:SELECT|FROM|WHERE|WITH|INSERT|UPDATE|DELETE|CREATE|ALTER|DROP|UNION|JOIN|VALUES|SET|LIMIT|HAVING|DECLARE|BEGIN)"
    r"(?:[ ][^a-z]*|[ ].*[=(,*'].*)?",
    r"(?:LEFT|RIGHT|INNER|OUTER|CROSS|FULL|GROUP|ORDER)[ ](?:OUTER|JOIN|BY)\b.*",
    r"(?:select|insert|update|delete|create|alter)[ ].*\b(?:from|into|set|table|where)\b.*",
    r"\d+[ ](?:PRINT|LET|GOTO|GOSUB|REM|INPUT|NEXT|DIM|IF|FOR|END|RETURN|CLS|READ|DATA|WHILE|WEND)\b.*",
    r"(?:PRINT|LET|GOTO|GOSUB|REM|INPUT|DIM|CLS|MOV|CMP|JMP|PUSH|POP|CALL|DISPLAY|MOVE|PERFORM)[ ][^a-z]*",
    r"(?:[A-Za-z]:\\.*>|\$|>>>|%|PS[ ].*>|[\w.-]+@[\w.-]+[:~$\w/]*[\#$])[ ].*",
    r"(?:sudo|apt|pip3?|npm|npx|yarn|git|cd|ls|mkdir|rm|cp|mv|docker|kubectl|curl|wget|chmod|ssh|python3?)"
    r"(?:[ ][\w./~:=-]+){1,5}",
    r"(?:Traceback[ ]\(most|File[ ]\"|at[ ][\w.$<>/]+\(|Caused[ ]by:|[\w.]+(?:Error|Exception|Warning):).*",
    r"\|.*\|",
)
_PERHAPS = (  # the same, unless a line reads as prose
    r".*[;{}(\[\\]",
    r".*(?:==|!=|<=|>=|[+*/-]=|&&|\|\||->|=>|::|:=|<-|\$\{|</\w|/>).*",
    r"(?:\#(?:include|define|ifdef|ifndef|endif|pragma|!)|//|/\*|\*/|<!|</?[a-zA-Z]).*",
    r"[^\t]*\t[^\t]+\t.*",
    r"[^\s,;|][^,.!?]*(?:[,;|][^\s,;|][^,]*){2,}",
)
_CODE_LINE = re.compile(rf"[ \t]*(?:{'|'.join(_LINES)})[ \t\r]*")
_MAY_BE_CODE = re.compile(rf"[ \t]*(?:{'|'.join(_PERHAPS)})[ \t\r]*")
_TAG = re.compile(r"<[^<>]*>")
_SIGN = re.compile(r"[;{}()=|<>\t\\$,]|:$", re.MULTILINE)  # a text without any has none of these lines
PROSE = r"(?:(?:[-*•]|\d+[.)]) +)?[\"“'(*]*[A-Za-z][a-z'’]*(?:[ ,:;]+[\"“'(]?[A-Za-z][a-z'’-]*[)\"”’]?){4,}"
_PROSE = re.compile(PROSE)
_LONGEST = 160  # characters; longer lines are paragraphs
_FARTHEST = 4  # lines from one line of code to the next of the same block


def code_blocks(text: str) -> list[tuple[int, int]]:
    """Return the spans, in characters, of two or more such lines near each other, with no prose between them."""
    if "\n" not in text or not _SIGN.search(text):
        return []
    lines = text.split("\n")
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line) + 1)
    code = [number for number, line in enumerate(lines) if _is_code(line)]
    blocks: list[list[int]] = []
    for earlier, later in pairwise(code):
        if later - earlier > _FARTHEST or any(map(_reads_as_prose, lines[earlier + 1 : later])):
            continue
        if blocks and blocks[-1][1] == earlier:
            blocks[-1][1] = later
        else:
            blocks.append([earlier, later])
    return [(starts[first], starts[last + 1] - 1) for first, last in blocks]


def _is_code(line: str) -> bool:
    if len(line) > _LONGEST or not line.strip():
        return False
    if _CODE_LINE.fullmatch(line):
        return True
    return bool(_MAY_BE_CODE.fullmatch(line)) and not _reads_as_prose(line)


def _reads_as_prose(line: str) -> bool:
    return _PROSE.match(_TAG.sub("", line).lstrip()) is not None
