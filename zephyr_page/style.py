"""The style sheet of pages and pictures: a colour for each kind of curve, grey for the rest; light, dark and print."""

import re
from collections.abc import Mapping

LIGHT = {
    "paper": "#ffffff", "ink": "#1b1f24", "muted": "#57606a", "rule": "#d4dae1", "soft": "#f3f5f8", "mark": "#fbe8b0",
    "train": "#0a5fb4", "test": "#b34700", "chosen": "#14713d", "rejected": "#86379c", "lost": "#7a848f",
}  # fmt: skip
DARK = {
    "paper": "#12161b", "ink": "#e6e9ec", "muted": "#a5afba", "rule": "#37414c", "soft": "#1b2129", "mark": "#5a4a12",
    "train": "#77b5f8", "test": "#f2a45f", "chosen": "#62c98a", "rejected": "#d79be8", "lost": "#8b96a2",
}  # fmt: skip
PRINT = LIGHT | {
    "paper": "#fff", "ink": "#000", "muted": "#444", "rule": "#bbb", "soft": "#f3f3f3", "mark": "#eee", "lost": "#777",
}  # fmt: skip
FONT = 'system-ui, "Segoe UI", "Noto Sans", "Liberation Sans", "DejaVu Sans", sans-serif'
_VARIABLE = re.compile(r"var\(--(\w+)\)")

_PICTURES = """
svg text { fill: var(--ink); font-size: 12px; font-variant-numeric: tabular-nums; }
svg .small { fill: var(--muted); font-size: 11.5px; }
svg .strong { font-weight: 600; }
svg .train { stroke: var(--train); } svg .test { stroke: var(--test); }
svg .chosen { stroke: var(--chosen); } svg .rejected { stroke: var(--rejected); }
svg text.train { fill: var(--train); stroke: none; } svg text.test { fill: var(--test); stroke: none; }
svg text.chosen { fill: var(--chosen); stroke: none; } svg text.rejected { fill: var(--rejected); stroke: none; }
svg .paper { fill: var(--paper); }
svg .dot { fill: var(--paper); stroke-width: 2; }
svg .curve { fill: none; stroke-width: 1.8; stroke-linejoin: round; stroke-linecap: round; }
svg .faint { stroke-width: 1; opacity: .35; } svg .dashed { stroke-dasharray: 5 3; }
svg .axis { stroke: var(--muted); stroke-width: 1; } svg .grid { stroke: var(--rule); stroke-width: 1; }
svg .level { stroke: var(--muted); stroke-width: 1; stroke-dasharray: 2 3; }
svg .fill-train { fill: var(--train); } svg .fill-test { fill: var(--test); } svg .fill-lost { fill: var(--lost); }
svg .band { opacity: .2; } svg .gap { stroke: var(--paper); stroke-width: 1; }
svg .box { fill: var(--soft); stroke: var(--ink); stroke-width: 1; } svg .absent { stroke-dasharray: 4 3; }
svg .arrow { fill: none; stroke: var(--ink); stroke-width: 1.3; } svg .head { fill: var(--ink); }
"""

_PAGE = """
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--paper); color: var(--ink); font-size: 16px;
  line-height: 1.55; }
main, body > header, body > footer { max-width: 78rem; margin: 0 auto; padding: 0 1.25rem; }
body > header { padding-top: 2.25rem; }
h1, h2, h3, h4 { line-height: 1.25; margin: 0 0 .5rem; text-wrap: balance; }
h1 { font-size: 1.9rem; letter-spacing: -.01em; }
h2 { font-size: 1.4rem; margin-top: 3rem; padding-top: 1rem; border-top: 2px solid var(--ink); }
h3 { font-size: 1.12rem; margin-top: 2rem; }
h4 { font-size: 1rem; margin-top: 1.4rem; }
p { margin: 0 0 .75rem; max-width: 72ch; }
.lead { font-size: 1.12rem; }
.note, figcaption, caption, dt, .when { color: var(--muted); font-size: .875rem; }
.note { line-height: 1.45; }
code, pre { font-family: ui-monospace, "DejaVu Sans Mono", "Liberation Mono", monospace; font-size: .86em; }
pre { background: var(--soft); padding: .6rem .8rem; margin: 0 0 .75rem; white-space: pre-wrap;
  overflow-wrap: anywhere; }
.digest { white-space: nowrap; cursor: help; }
a { color: var(--train); }
nav ul { list-style: none; display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; padding: 0; margin: 1.5rem 0 0; }
:focus-visible { outline: 2px solid var(--train); outline-offset: 2px; }

.key { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: 1.25rem 1.5rem;
  margin: 1.5rem 0 0; padding: 1rem 0 0; border-top: 1px solid var(--rule); }
.key dt { order: 0; }
.key div { display: flex; flex-direction: column; }
.key dd { margin: 0; }
.key .value { font-size: clamp(1.3rem, 1rem + 1.6vw, 1.65rem); font-weight: 600; line-height: 1.3;
  font-variant-numeric: tabular-nums; white-space: nowrap; }
.key .aside { color: var(--muted); font-size: .875rem; line-height: 1.4; }

.facts { display: grid; grid-template-columns: repeat(auto-fill, minmax(9rem, 1fr)); gap: .75rem 1.5rem;
  margin: 1rem 0; }
.facts .wide { grid-column: 1 / -1; } .facts .wide dd { max-width: 100ch; }
.facts dd { margin: 0; overflow-wrap: anywhere; }

.split { display: grid; grid-template-columns: minmax(0, 1fr); gap: 0 3rem; align-items: start; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 25rem), 1fr)); gap: 1rem 2rem; }
@media (min-width: 60rem) {
  .facts { grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)); gap: .75rem 2rem; }
  .split > div > .facts { grid-template-columns: repeat(2, 1fr); }
  .split { grid-template-columns: minmax(0, 5fr) minmax(0, 6fr); }
  td.bars { width: 30%; }
}

.scroll { overflow-x: auto; margin: 0 0 1.25rem; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding: 0 0 .35rem; }
th, td { padding: .3rem .75rem .3rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--rule); }
thead th { border-bottom: 1px solid var(--ink); font-weight: 600; vertical-align: bottom; }
tbody th { font-weight: 400; }
th.n, td.n { text-align: right; white-space: nowrap; }
tr > :last-child { padding-right: 0; }
.bar { display: block; height: .7rem; margin-top: .4rem; min-width: 1px; background: var(--lost); }
td.bars { width: 15%; min-width: 2.5rem; }

figure { margin: 0 0 1rem; min-width: 0; }
figure svg { display: block; width: 100%; height: auto; max-width: 31rem; }
figcaption { line-height: 1.4; }
figcaption strong { color: var(--ink); font-size: 1rem; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 17rem), 1fr)); gap: .75rem 1.5rem; }
.said { white-space: pre-wrap; overflow-wrap: anywhere; unicode-bidi: isolate; margin: 0 0 .5rem; max-width: 72ch; }
.who { color: var(--muted); font-size: .875rem; margin: 0; }
.example { border-left: 2px solid var(--rule); padding: .1rem 0 .1rem .9rem; margin: 0 0 1.1rem; }
mark { background: var(--mark); color: inherit; padding: 0 .1em; }
details { margin: 0 0 1rem; } summary { cursor: pointer; color: var(--train); padding: .2rem 0; }
body > footer { padding-bottom: 3rem; padding-top: 2rem; color: var(--muted); font-size: .875rem; }
"""

_PRINT = """
  body { font-size: 10pt; } nav { display: none; } h2 { margin-top: 1.5rem; }
  h2, h3, h4, figcaption { break-after: avoid; } figure, tr, .example { break-inside: avoid; }
  .scroll { overflow: visible; } table { font-size: 8pt; } th.n, td.n { white-space: normal; }
  details::details-content { content-visibility: visible; block-size: auto; }
  body, svg { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
"""


def _variables(scheme: str, colours: Mapping[str, str]) -> str:
    return f":root {{ color-scheme: {scheme}; {' '.join(f'--{name}: {colour};' for name, colour in colours.items())} }}"


CSS = f"""
{_variables("light dark", LIGHT)}
@media (prefers-color-scheme: dark) {{ {_variables("light dark", DARK)} }}
body {{ font-family: {FONT}; }}{_PAGE}{_PICTURES}
@media print {{
{_variables("light", PRINT)}{_PRINT}}}
"""


def alone() -> str:
    """Return the rules for a picture in a file of its own, without variables: only browsers know them."""
    return f"svg {{ font-family: {FONT}; }}{_plain(LIGHT)}@media (prefers-color-scheme: dark) {{{_plain(DARK)}}}"


def _plain(colours: Mapping[str, str]) -> str:
    rules = f"\n:root {{ background: var(--paper); }}{_PICTURES}"
    return _VARIABLE.sub(lambda use: colours[use[1]], rules)
