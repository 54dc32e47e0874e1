"""Quoted speech: not the voice of the one who writes."""

import re

_QUOTED = re.compile(
    r"""["][^"\n]{1,400}["]|“[^”\n]{1,400}”|«[^»\n]{1,400}»"""
    r"""|['‘](?<![^\s(]['‘])[A-Z][^\n]{1,300}?[,.!?]['’](?!\w)"""  # 'Single marks,' around speech, after a space
)
_IN_DOUBLE_MARKS = re.compile(r"""["][^"\n]{1,400}["]""")
MAY_SPEAK = r"""['‘][A-Z]"""  # matches every text with speech in single marks, and few others


def blank_quotes(text: str) -> str:
    """Return the text with everything between quotation marks blanked, its length in bytes unchanged.

    Quoted speech is not the assistant's own voice; byte offsets still match the original.
    """
    return without_quotes(text, may_speak=True)


def without_quotes(text: str, may_speak: bool) -> str:
    """Return the text as `blank_quotes` does, if `may_speak` says whether MAY_SPEAK matches it."""
    if may_speak or "“" in text or "«" in text:
        return _QUOTED.sub(_blanked, text)
    return _IN_DOUBLE_MARKS.sub(_blanked, text) if '"' in text else text


def _blanked(match: re.Match[str]) -> str:
    quoted = match[0]
    return quoted[0] + "\x1a" * len(quoted[1:-1].encode()) + quoted[-1]
