"""Quality against time, as an SVG: the best schedule so far, and the bound that none can pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

WIDTH, HEIGHT, LEFT, BOTTOM, MARGIN = 640, 320, 80, 40, 20
Points = Sequence[tuple[float, float]]


def quality_svg(statistics: dict[str, Any]) -> str:
    """Draw the series of a run's statistics.

    Args:
        statistics: Of a run that the solver made.
    """
    best = [(one["seconds"], one["objective"]) for one in statistics["quality"]]
    bound = [(one["seconds"], one["bound"]) for one in statistics["bounds"]]
    end = max([statistics["seconds"], *(x for x, _ in [*best, *bound])])
    values = [y for _, y in [*best, *bound]] or [0.0]
    low, high = min(values), max(values)
    plane = _Plane(end=end or 1.0, low=low, high=high if high > low else low + 1)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        "<title>Quality against time</title>",
        '<g font-family="sans-serif" font-size="12" fill="#333">',
        *plane.axes(),
        plane.steps(bound, colour="#888888", name="bound"),
        plane.steps(best, colour="#0b6fb8", name="cost of the best schedule"),
        "</g>",
        "</svg>",
    ]
    return "\n".join(line for line in lines if line) + "\n"


class _Plane:
    """Where a value is drawn."""

    def __init__(self, *, end: float, low: float, high: float) -> None:
        self._end, self._low, self._high = end, low, high

    def _at(self, seconds: float, value: float) -> tuple[float, float]:
        x = LEFT + (WIDTH - LEFT - MARGIN) * seconds / self._end
        share = (value - self._low) / (self._high - self._low)
        return round(x, 1), round(HEIGHT - BOTTOM - (HEIGHT - BOTTOM - MARGIN) * share, 1)

    def axes(self) -> list[str]:
        left, bottom = self._at(0, self._low)
        right, top = self._at(self._end, self._high)
        return [
            f'<path d="M{left} {top}V{bottom}H{right}" fill="none" stroke="#333"/>',
            f'<text x="{left - 6}" y="{bottom}" text-anchor="end">{self._low:,.0f}</text>',
            f'<text x="{left - 6}" y="{top + 4}" text-anchor="end">{self._high:,.0f}</text>',
            f'<text x="{left}" y="{bottom + 18}">0 s</text>',
            f'<text x="{right}" y="{bottom + 18}" text-anchor="end">{self._end:.3g} s</text>',
        ]

    def steps(self, points: Points, *, colour: str, name: str) -> str:
        if not points:
            return ""
        x, y = self._at(*points[0])
        path = f"M{x} {y}" + "".join("H{}V{}".format(*self._at(*point)) for point in points[1:])
        path += f"H{self._at(self._end, 0)[0]}"
        title = f"<title>{name}</title>"
        return f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="2">{title}</path>'
