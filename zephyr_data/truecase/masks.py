"""What must keep its case whatever stands around it: code, addresses, maths, markup, identifiers."""

import re

_FENCED = re.compile(r"```.*?(?:```|\Z)|~~~.*?(?:~~~|\Z)", re.DOTALL)
_PROTECTED = re.compile(
    r"""
      `[^`\n]+`                                               # inline code
    | \$\$[^$]+\$\$ | \\\[(?s:.+?)\\\] | \\\([^\n]+?\\\)      # maths
    | \$[^$\n]{1,80}\$
    | \\[A-Za-z]+(?:\{[^{}\n]*\})*                            # a LaTeX command
    | <!--(?s:.*?)--> | </?[A-Za-z][^<>\n]{0,200}>            # markup
    | &\#?\w{2,8};
    | (?:https?|ftp|file)://[^\s<>"]+ | \bwww\.[^\s<>"]+      # addresses
    | [\w.+-]+@[\w-]+(?:\.[\w-]+)+
    | (?<!\w)(?:~|\.{1,2})?/[\w.@%+~-]+(?:/[\w.@%+~-]*)*       # paths
    | \b[A-Za-z]:\\[^\s"<>|]*
    | (?m:^[ ]{0,3}(?:\$|>>>|%|C:\\>)[ ]\S.*$)                # a command at a prompt
    | (?m:^(?:[ ]{4,}|\t+)\S.*[;{}()=\[\]<>].*$)              # an indented line of code
    | (?m:^[ ]*\S.*(?:;|\{|\}|\):)[ ]*$)                      # a bare line of code
    | (?m:^[ ]*(?:\w+[ ]=[ ]\S.*|\w+[ ]["'].*["'][;)]?)$)     # an assignment, a bare call
    | (?m:^[ ]*(?:import|from|def|for|if|elif|while|return|print|puts|select|sudo|pip|npm|git)[ ].*[\w)\]"']$)
    | (?<!\w)[#@]\w+                                          # hashtags and handles
    | \b\w+(?:[.:]{1,2}\w+)+(?:\(\))?                         # dotted names: os.path, Node.js, a.m
    | \b\w*_\w+ | \b\w+\(                                     # identifiers and calls
    | \b\w*\d\w*                                              # words with digits
    | (?<!\w)--?[A-Za-z][\w-]*=?                              # flags
    | \{\{?[^{}\n]*\}?\} | \[[^\]\n]*\]\([^)\n]*\)            # placeholders, Markdown links
    """,
    re.VERBOSE,
)
HOLE = "\ue000"  # stands for a protected character: private use, neither letter nor space


def blank_protected(text: str) -> str:
    """Return the text with every protected character replaced by HOLE; same length."""
    return _PROTECTED.sub(_hole, _FENCED.sub(_hole, text))


def _hole(match: re.Match[str]) -> str:
    return HOLE * len(match[0])
