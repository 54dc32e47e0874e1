"""The pages in a real browser: three widths, two colour schemes and print; nothing runs, nothing is asked for."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.system import lacking, needs
from tests.zephyr_run import report_run
from tests.zephyr_run.test_ablations import CONTENT
from zephyr_run.ablation import page as ablation_page
from zephyr_run.report import page as report_page

pytestmark = pytest.mark.slow

WIDTHS = (360, 800, 1600)
PAPER = 718  # CSS pixels between A4's margins of 1 cm
QUIET = [
    "--no-sandbox",  # root, as CI is
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
VIEWS = [(width, scheme, "screen") for width in WIDTHS for scheme in ("light", "dark")] + [(PAPER, "light", "print")]

# What is wrong with the texts of a page, as its reader sees them: a line each.
FAULTS_OF_TEXTS = """
(isPrint) => {
  const part = /[\\d.]+/g;
  const colour = (text) => { const [r, g, b, a = 1] = text.match(part).map(Number); return {rgb: [r, g, b], a}; };
  const over = (top, below) => top.rgb.map((value, at) => value * top.a + below[at] * (1 - top.a));
  const light = (rgb) => {
    const [r, g, b] = rgb.map((v) => v / 255).map((v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (a, b) => (Math.max(light(a), light(b)) + 0.05) / (Math.min(light(a), light(b)) + 0.05);
  const above = (node) => node ? [...above(node.parentElement), node] : [];
  const centre = (box) => [box.left + box.width / 2, box.top + box.height / 2];
  const holds = (box, [x, y]) => box.left <= x && x <= box.right && box.top <= y && y <= box.bottom;
  const painted = (element, box) => {  // the colour behind a text
    let behind = [255, 255, 255];
    for (const node of above(element)) behind = over(colour(getComputedStyle(node).backgroundColor), behind);
    const drawing = element.closest("svg");
    for (const shape of drawing ? drawing.querySelectorAll("rect, path, circle, polygon") : []) {
      if (shape.compareDocumentPosition(element) & Node.DOCUMENT_POSITION_PRECEDING) break;
      const style = getComputedStyle(shape);
      const isThere = style.fill !== "none" && shape.tagName === "rect" && holds(shape.getBoundingClientRect(), centre(box));
      if (!isThere) continue;
      const fill = colour(style.fill);
      behind = over({rgb: fill.rgb, a: fill.a * style.opacity * style.fillOpacity}, behind);
    }
    return behind;
  };
  const faults = [];
  if (!isPrint) document.querySelectorAll("details").forEach((folded) => { folded.open = true; });
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const words = walker.currentNode.data.trim().slice(0, 40);
    const element = walker.currentNode.parentElement;
    if (!words || element.closest("svg title, svg desc, style") || (isPrint && element.closest("nav"))) continue;
    const range = document.createRange();
    range.selectNodeContents(walker.currentNode);
    const boxes = [...range.getClientRects()].filter((box) => box.width > 0 && box.height > 0);
    const style = getComputedStyle(element);
    if (!boxes.length || !element.checkVisibility({visibilityProperty: true})) { faults.push(`unseen: ${words}`); continue; }
    const scrolls = above(element).some((node) => ["auto", "scroll"].includes(getComputedStyle(node).overflowX));
    if (!scrolls && boxes.some((box) => box.left < -1 || box.right > innerWidth + 1)) faults.push(`cut off: ${words}`);
    const ink = colour(element.closest("svg") ? style.fill : style.color);
    const opacity = above(element).reduce((product, node) => product * getComputedStyle(node).opacity, 1);
    const behind = painted(element, boxes[0]);
    const ratio = contrast(over({rgb: ink.rgb, a: ink.a * opacity}, behind), behind);
    const size = parseFloat(style.fontSize);
    const isLarge = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    if (ratio < (isLarge ? 3 : 4.5)) faults.push(`contrast ${ratio.toFixed(2)}: ${words}`);
  }
  return faults;
}
"""
IS_IN_VIEW = """
(anchor) => {
  const box = document.getElementById(anchor).getBoundingClientRect();
  return box.top < innerHeight && box.bottom > 0;
}
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Debian's Chromium, driven by Playwright."""
    program = needs("chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        lacking("playwright is not installed: `make test-slow` does it")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=QUIET)
        yield started
        started.close()


@pytest.fixture(scope="module", params=["report", "ablations"])
def file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page, with hostile and long texts on it."""
    folder = tmp_path_factory.mktemp("pages")
    if request.param == "ablations":
        return ablation_page.write(folder, CONTENT)
    run = report_run.write(folder / "tiny")
    answers = {"dSFT": "Fine.", "dDPO": report_run.HOSTILE}
    rows = [{"prompt": "How <i>?", "answers": answers, "stopped": {"dSFT": True, "dDPO": False}}]
    report_run.lines(run / "samples.jsonl", rows)
    return report_page.write(run, "tiny")


class Shown:
    """A page as it is shown, with what it asked for and complained about."""

    def __init__(self, browser: Any, file: Path, width: int, scheme: str = "light", media: str = "screen") -> None:
        self.address = file.as_uri()
        self.tab = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.tab.on("request", lambda request: self.requests.append(request.url))
        self.tab.on("console", lambda message: self.complaints.append(message.text))
        self.tab.on("pageerror", lambda fault: self.complaints.append(str(fault)))
        self.tab.emulate_media(media=media)
        self.tab.goto(self.address)


@pytest.fixture
def show(browser: Any, file: Path) -> Iterator[Any]:
    """Show the page; it is closed when the test ends."""
    shown: list[Shown] = []

    def open_page(*view: Any) -> Shown:
        shown.append(Shown(browser, file, *view))
        return shown[-1]

    yield open_page
    for page in shown:
        page.tab.close()


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: "-".join(map(str, view)))
def test_every_text_is_seen_and_nothing_is_wider_than_the_window(show: Any, view: tuple[int, str, str]) -> None:
    tab = show(*view).tab
    assert tab.evaluate(FAULTS_OF_TEXTS, view[2] == "print") == []
    assert tab.evaluate("document.documentElement.scrollWidth") <= view[0]


def test_nothing_runs_and_nothing_is_asked_for(show: Any) -> None:
    page = show(800)
    assert page.requests == [page.address]
    assert page.complaints == []
    assert page.tab.evaluate("document.scripts.length + document.images.length + frames.length") == 0


def test_every_section_is_reached_by_its_link(show: Any) -> None:
    page = show(800)
    anchors = page.tab.eval_on_selector_all("section[id]", "sections => sections.map(section => section.id)")
    assert len(anchors) >= 4
    links = page.tab.eval_on_selector_all("nav a", "links => links.map(link => link.hash.slice(1))")
    assert not links or set(anchors) <= set(links)
    for anchor in anchors:
        page.tab.evaluate("scrollTo(0, 0)")
        if links:
            page.tab.click(f'nav a[href="#{anchor}"]')
        else:
            page.tab.goto(f"{page.address}#{anchor}")
        assert page.tab.evaluate(IS_IN_VIEW, anchor), anchor


def test_it_prints_on_a_few_sheets(show: Any) -> None:
    printed = show(800).tab.pdf(format="A4", margin=dict.fromkeys(("top", "right", "bottom", "left"), "1cm"))
    assert printed.startswith(b"%PDF") and printed.rstrip().endswith(b"%%EOF")
    assert 1 <= printed.count(b"/Type /Page\n") <= 20
