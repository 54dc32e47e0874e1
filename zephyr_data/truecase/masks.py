"""What must keep its case whatever stands around it: code, addresses, maths, markup, identifiers."""

import re

_FENCED = re.compile(r"```.*?(?:```|\Z)|~~~.*?(?:~~~|\Z)", re.DOTALL)
_PROTECTED = re.compile(
    r"""
      `[^`\n]+`                                               # inline code
    | \$\$[^$]+\$\$ | \\\[(?s:.+?)\\\] | \\\([^\n]+?\\\)      # maths
    | \$[^$\n]{1,80}\$
    | \\[A-Za-z]+(?:\{[^{}\n]*\})*                            # a LaTeX command
    | <!--(?s:.*?)--> | (?m:^[ \t]*<\w[^<>\n]*>.*</\w+>[ \t]*$) # markup: a line of it
    | </?[A-Za-z][^<>\n]{0,200}>                              # a tag
    | (?m:^[ ]{0,3}>.*$)                                      # a block quotation
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
_QUOTATION = re.compile(r'"[^"\n]{3,600}"|“[^”\n]{3,600}”')
HOLE = "\ue000"  # stands for a protected character: private use, neither letter nor space


def blank_protected(text: str) -> str:
    """Return the text with every protected character replaced by HOLE; same length."""
    return _PROTECTED.sub(_hole, _FENCED.sub(_hole, text))


def blank_quotations(text: str, said: str) -> str:
    """Return the text with HOLE for what it quotes from `said`, the user's words; same length."""
    return _QUOTATION.sub(lambda match: _hole(match) if match[0][1:-1].strip() in said else match[0], text)


def _hole(match: re.Match[str]) -> str:
    return HOLE * len(match[0])
