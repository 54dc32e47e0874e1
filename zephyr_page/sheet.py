"""Charts on one sheet: an SVG file that needs nothing else, to be opened alone or shown in a model card."""

from collections.abc import Sequence

from zephyr_page import chart, style
from zephyr_page.chart import Chart
from zephyr_page.drawing import text
from zephyr_page.markup import Html, element, join

COLUMNS = 2
MARGIN, HEAD, LINE = 24.0, 22.0, 17.0  # around charts; for a chart's caption; for a remark
CELL = (chart.WIDTH + MARGIN, chart.HEIGHT + HEAD + MARGIN)


def sheet(title: str, charts: Sequence[Chart], remarks: Sequence[str]) -> str:
    """Return an SVG file with the charts, two per row, and a line for each remark below them.

    Its colours are the page's, light or dark to match the reader's screen.
    """
    rows = -(-len(charts) // COLUMNS)
    width, bottom = MARGIN + COLUMNS * CELL[0], MARGIN + rows * CELL[1]
    height = bottom + len(remarks) * LINE + MARGIN / 2
    parts = [
        element("title", title),
        element("style", Html(style.alone())),
        element("rect", "", class_="paper", width="100%", height="100%"),
        *(_cell(one, *divmod(at, COLUMNS)) for at, one in enumerate(charts)),
        *(text(MARGIN, bottom + at * LINE, remark, "small") for at, remark in enumerate(remarks)),
    ]
    size = {"width": f"{width:g}", "height": f"{height:g}", "viewBox": f"0 0 {width:g} {height:g}"}
    return element("svg", join(parts), xmlns="http://www.w3.org/2000/svg", **size) + "\n"


def _cell(one: Chart, row: int, column: int) -> Html:
    x, y = MARGIN + column * CELL[0], MARGIN + row * CELL[1]
    caption = join(
        [element("tspan", one.title, class_="strong"), element("tspan", f" · {one.unit}", class_="small")], ""
    )
    place = {"x": f"{x:g}", "y": f"{y + HEAD:g}", "width": f"{chart.WIDTH:g}", "height": f"{chart.HEIGHT:g}"}
    return join([text(x, y + 12, caption), chart.picture(one, **place)])
