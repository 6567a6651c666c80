"""Plots as small SVG files that follow the reader's dark or light mode."""

import math

WIDTH, LEFT, RIGHT, TOP = 820, 70, 30, 40
COLOURS = ["#0969da", "#1a7f37", "#bf8700", "#8250df", "#cf222e"]
STYLE = """
    .t { fill: #24292f } .m { fill: #57606a } .l { stroke: #d0d7de; fill: none }
    @media (prefers-color-scheme: dark) {
      .t { fill: #e6edf3 } .m { fill: #9198a1 } .l { stroke: #30363d }
    }
"""


def amount(value, unit):
    """A number of seconds, or of anything, as a person writes it."""
    if unit != "s":
        return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"
    for factor, name in [(1, "s"), (1e-3, "ms"), (1e-6, "µs")]:
        if value >= factor:
            break
    scaled = value / factor
    return f"{scaled:.0f} {name}" if scaled >= 10 else f"{scaled:.2g} {name}"


class Scale:
    """A logarithmic axis over whole decades."""

    def __init__(self, values, begin, end):
        self.low = math.floor(math.log10(min(values)) + 1e-9)
        self.high = max(math.ceil(math.log10(max(values)) - 1e-9), self.low + 1)
        self.begin, self.end = begin, end

    def __call__(self, value):
        part = (math.log10(value) - self.low) / (self.high - self.low)
        return self.begin + part * (self.end - self.begin)

    def decades(self):
        return [10.0**n for n in range(self.low, self.high + 1)]


def document(height, title, parts):
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img"'
            f' aria-label="{title}" font-family="ui-sans-serif, system-ui, sans-serif"'
            ' font-size="13">',
            f"  <style>{STYLE}  </style>",
            f'  <text class="t" x="{LEFT}" y="22" font-weight="600">{title}</text>',
            *(f"  {part}" for part in parts),
            "</svg>\n",
        ]
    )


def text(x, y, words, cls="m", anchor="middle"):
    return f'<text class="{cls}" x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}">{words}</text>'


def line(x1, y1, x2, y2):
    return f'<path class="l" d="M{x1:.0f} {y1:.0f}L{x2:.0f} {y2:.0f}"/>'


def lines(title, x_label, series):
    """Time against a number, both logarithmic; `series` is {name: [(number, seconds)]}."""
    height, bottom = 400, 340
    points = [point for row in series.values() for point in row]
    x = Scale([n for n, _ in points], LEFT, WIDTH - RIGHT - 190)
    y = Scale([seconds for _, seconds in points], bottom, TOP)
    numbers = sorted({n for n, _ in points})
    x.low, x.high = math.log10(numbers[0]), math.log10(numbers[-1])
    parts = []
    for value in y.decades():
        parts += [line(LEFT, y(value), x.end, y(value))]
        parts += [text(LEFT - 8, y(value) + 4, amount(value, "s"), anchor="end")]
    for n in numbers:
        parts += [line(x(n), TOP, x(n), bottom), text(x(n), bottom + 20, f"{n:,}")]
    parts += [text((LEFT + x.end) / 2, bottom + 42, x_label)]
    ends = sorted(((y(row[-1][1]), name) for name, row in series.items()), reverse=True)
    free = math.inf
    labels = {}
    for at, name in ends:
        free = min(at, free - 17)
        labels[name] = free
    for (name, row), colour in zip(series.items(), COLOURS):
        path = "L".join(f"{x(n):.1f} {y(seconds):.1f}" for n, seconds in row)
        parts += [f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"/>']
        parts += [
            f'<circle cx="{x(n):.1f}" cy="{y(seconds):.1f}" r="3" fill="{colour}"/>'
            for n, seconds in row
        ]
        label = f"{name}, {amount(row[-1][1], 's')}"
        parts += [
            f'<text x="{x.end + 10:.0f}" y="{labels[name] + 4:.0f}" fill="{colour}">{label}</text>'
        ]
    return document(height, title, parts)


def bars(title, unit, rows, marks=None):
    """Horizontal bars on a logarithmic axis; `rows` is [(name, value, ours)]. `marks` may give each
    a line that it should not cross."""
    left, step = 300, 26
    height = TOP + step * len(rows) + 40
    marks = marks or [None] * len(rows)
    values = [value for _, value, _ in rows] + [mark for mark in marks if mark]
    x = Scale(values, left, WIDTH - 90)
    parts = []
    for value in x.decades():
        parts += [line(x(value), TOP, x(value), height - 30)]
        parts += [text(x(value), height - 12, amount(value, unit))]
    for index, ((name, value, ours), mark) in enumerate(zip(rows, marks)):
        top = TOP + step * index
        colour = COLOURS[0] if ours else "#8c959f"
        width = max(x(value) - left, 1)
        parts += [text(left - 8, top + 18, name, cls="t", anchor="end")]
        parts += [
            f'<rect x="{left}" y="{top + 5}" width="{width:.1f}" height="{step - 9}" fill="{colour}"/>'
        ]
        at = max(x(value), x(mark) if mark else 0)
        parts += [text(at + 6, top + 18, amount(value, unit), anchor="start")]
        if mark:
            parts += [
                f'<path d="M{x(mark):.1f} {top + 2}v{step - 3}" stroke="{COLOURS[4]}" stroke-width="2"/>'
            ]
    return document(height, title, parts)
