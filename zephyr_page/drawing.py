"""The few shapes used in the page's pictures. Lengths are user units of the SVG."""

from collections.abc import Iterable

from zephyr_page.markup import Html, element, join


def svg(
    anchor: str, title: str, description: str, size: tuple[float, float], parts: Iterable[object], **place: object
) -> Html:
    """Return a picture with its title and description for those who cannot see it; `place` has further attributes."""
    captions = [element("title", title, id=f"{anchor}-t"), element("desc", description, id=f"{anchor}-d")]
    box, labels = f"0 0 {size[0]:g} {size[1]:g}", f"{anchor}-t {anchor}-d"
    return element("svg", join([*captions, *parts]), viewBox=box, role="img", aria_labelledby=labels, **place)


def figure(title: str, subtitle: object, inside: object) -> Html:
    """Return a picture under its caption."""
    caption = join([element("strong", title), "·", subtitle], " ")
    return element("figure", join([element("figcaption", caption), inside]))


def text(x: float, y: float, inside: str, kind: str = "", anchor: str = "start") -> Html:
    """Return a text whose `anchor` (start, middle, end) is at x, y."""
    return element("text", inside, class_=kind, x=f"{x:.1f}", y=f"{y:.1f}", text_anchor=anchor)


def rule(x1: float, y1: float, x2: float, y2: float, kind: str) -> Html:
    """Return a straight line."""
    return element("line", "", class_=kind, x1=f"{x1:.1f}", y1=f"{y1:.1f}", x2=f"{x2:.1f}", y2=f"{y2:.1f}")


def rectangle(x: float, y: float, width: float, height: float, kind: str, title: str = "") -> Html:
    """Return a rectangle, at least 1 wide so that it is visible, with a title shown on hover."""
    inside = element("title", title) if title else ""
    place = {"x": f"{x:.1f}", "y": f"{y:.1f}", "width": f"{max(width, 1):.1f}", "height": f"{height:.1f}"}
    return element("rect", inside, class_=kind, **place)


def arrow(x1: float, y1: float, x2: float, y2: float) -> Html:
    """Return an arrow that points down or to the right."""
    tip = "l-4 -7h8Z" if x1 == x2 else "l-7 -4v8Z"
    line = element("path", "", class_="arrow", d=f"M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}")
    return join([line, element("path", "", class_="head", d=f"M{x2:.1f} {y2:.1f}{tip}")], "")
