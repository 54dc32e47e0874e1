"""A page as one file that loads nothing and runs nothing."""

from zephyr_page.markup import Html, safe
from zephyr_page.style import CSS

POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def document(title: str, body: Html) -> str:
    """Return a self-contained page."""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<title>{safe(title)}</title>
<style>{CSS}</style>
</head>
<body>
{body}
</body>
</html>
"""
