"""A small SVG canvas: boxes, wires, symbols and labels, and whether a label can be read.

Owns drawing and nothing of boards. All text is of one monospaced font, so that the width of a label is known:
`faults` names the labels that run into each other, leave the picture, or are crossed by a wire.
"""

import itertools
from xml.sax.saxutils import escape

_FONT = "DejaVu Sans Mono, Consolas, Menlo, monospace"
_ADVANCE = 0.602  # width of a character / size: DejaVu Sans Mono, the widest of them
INK = "#212121"

Box = tuple[float, float, float, float]


def text_width(text: str, size: float = 13) -> float:
    """Return the width of `text` in pixels."""
    return len(text) * size * _ADVANCE


class Canvas:
    """A picture of `width` pixels; `height` is set before `render`."""

    def __init__(self, width: float) -> None:
        self.width = width
        self.height = 0.0
        self._parts: list[str] = []
        self._labels: list[tuple[str, Box]] = []
        self._wires: list[Box] = []

    def rect(self, box: Box, fill: str = "#ffffff", stroke: str = INK, radius: float = 4) -> None:
        """Draw a box (x, y, width, height)."""
        self._parts.append(
            '<rect x="%g" y="%g" width="%g" height="%g" rx="%g" fill="%s" stroke="%s" stroke-width="1.5"/>'
            % (*box, radius, fill, stroke)
        )

    def label(
        self,
        x: float,
        y: float,
        text: str,
        *,
        size: float = 13,
        color: str = INK,
        anchor: str = "start",
        bold: bool = False,
    ) -> None:
        """Write `text` with its baseline at `y`; `x` is its start, middle or end."""
        width = text_width(text, size)
        left = x - width * {"start": 0, "middle": 0.5, "end": 1}[anchor]
        self._labels.append((text, (left, y - 0.76 * size, width, 0.95 * size)))
        self._parts.append(
            '<text x="%g" y="%g" font-size="%g" fill="%s" text-anchor="%s"%s>%s</text>'
            % (x, y, size, color, anchor, ' font-weight="bold"' if bold else "", escape(text))
        )

    def wire(self, *points: tuple[float, float], color: str = INK) -> None:
        """Draw a wire along `points`."""
        for (x1, y1), (x2, y2) in itertools.pairwise(points):
            self._wires.append((min(x1, x2), min(y1, y2), abs(x2 - x1), abs(y2 - y1)))
        path = " ".join("%g,%g" % point for point in points)
        self._parts.append(
            '<polyline points="%s" fill="none" stroke="%s" stroke-width="2.5"/>' % (path, color)
        )

    def dot(self, x: float, y: float, color: str = INK) -> None:
        """Draw where wires join, or a terminal."""
        self._parts.append('<circle cx="%g" cy="%g" r="4" fill="%s"/>' % (x, y, color))

    def tag(self, x: float, y: float, text: str, color: str, anchor: str = "start") -> Box:
        """Draw a coloured tag, its middle at `y`, from `x` to the right or (anchor "end") to the left."""
        width = text_width(text) + 16
        box = (x if anchor == "start" else x - width, y - 11, width, 22)
        self.rect(box, color, color, 11)
        self.label(box[0] + width / 2, y + 4.5, text, color="#ffffff", anchor="middle", bold=True)
        return box

    def resistor(self, x: float, top: float, bottom: float, text: str, color: str = INK) -> None:
        """Draw an upright resistor in a wire from `top` to `bottom`, its value to the right."""
        middle = (top + bottom) / 2
        self.wire((x, top), (x, middle - 14), color=color)
        self.rect((x - 6, middle - 14, 12, 28), "#ffffff", color, 0)
        self.wire((x, middle + 14), (x, bottom), color=color)
        self.label(x + 12, middle + 4.5, text, size=12)

    def contact(self, x1: float, x2: float, y: float, is_closed: bool, color: str = INK) -> None:
        """Draw a contact in a wire from `x1` to `x2`: closed or open while all is well."""
        middle = (x1 + x2) / 2
        self.wire((x1, y), (middle - 18, y), color=color)
        self.wire((middle + 18, y), (x2, y), color=color)
        self.dot(middle - 18, y, color)
        self.dot(middle + 18, y, color)
        self.wire((middle - 18, y), (middle + 18, y if is_closed else y - 16), color=color)

    def faults(self) -> list[str]:
        """Return what cannot be read: labels over each other, outside the picture, or under a wire."""
        found = []
        for number, (text, box) in enumerate(self._labels):
            x, y, width, height = box
            if x < 0 or y < 0 or x + width > self.width or y + height > self.height:
                found.append("%r is not within the picture" % text)
            found += [
                "%r and %r overlap" % (text, other)
                for other, place in self._labels[number + 1 :]
                if _overlap(box, place)
            ]
            found += ["a wire crosses %r" % text for wire in self._wires if _overlap(box, wire)]
        return found

    def render(self, comment: str) -> str:
        """Return the SVG text; `comment` says what it is made from."""
        size = (self.width, self.height)
        head = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g"' % size
        head += ' width="%g" height="%g" font-family="%s">' % (*size, _FONT)
        paper = '<rect width="%g" height="%g" fill="#ffffff"/>' % size
        return "\n".join(["<!-- %s -->" % escape(comment), head, paper, *self._parts, "</svg>"]) + "\n"


def _overlap(a: Box, b: Box) -> bool:
    return a[0] < b[0] + b[2] and b[0] < a[0] + a[2] and a[1] < b[1] + b[3] and b[1] < a[1] + a[3]
