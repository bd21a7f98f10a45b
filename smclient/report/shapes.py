"""Pictures as inline SVG. They hold no text: labels are HTML around them, which keeps its size on a
phone, while the picture stretches."""

from __future__ import annotations

from collections.abc import Sequence

Point = tuple[float, float]


def lines(series: Sequence[tuple[str, Sequence[Point]]], told: str) -> str:
    """Lines over time, the area under each filled; ``series`` are CSS classes and points, the
    largest first. ``told`` is what a screen reader says."""
    points = [point for _, line in series for point in line]
    left = min((x for x, _ in points), default=0.0)
    width = max((x for x, _ in points), default=0.0) - left or 1.0
    bottom = min(0.0, min((y for _, y in points), default=0.0))
    top = max(0.0, max((y for _, y in points), default=0.0))
    top += top == bottom  # nothing but noughts: a line at the foot
    shapes = []
    for name, line in series:
        placed = [
            f"{100 * (x - left) / width:.2f},{100 - 100 * (y - bottom) / (top - bottom):.2f}"
            for x, y in line
        ]
        if not placed:
            continue
        floor = f"{100 + 100 * bottom / (top - bottom):.2f}"
        first, last = placed[0].split(",")[0], placed[-1].split(",")[0]
        area = f"{first},{floor} {' '.join(placed)} {last},{floor}"
        shapes.append(f'<polygon class="area {name}" points="{area}"/>')
        shapes.append(f'<polyline class="line {name}" points="{" ".join(placed)}"/>')
    grid = "".join(f'<path class="grid" d="M0 {y}H100"/>' for y in (0, 25, 50, 75, 100))
    return (
        f'<svg class="lines" viewBox="0 0 100 100" preserveAspectRatio="none" role="img" '
        f'aria-label="{told}">{grid}{"".join(shapes)}</svg>'
    )


def bar(parts: Sequence[tuple[str, float]], whole: float) -> str:
    """One bar of parts laid end to end: CSS classes and amounts, of ``whole``. Only decoration:
    the numbers stand beside it."""
    shapes, x = [], 0.0
    for name, amount in parts:
        wide = 100 * amount / whole if whole > 0 else 0.0
        wide = min(max(wide, 0.0), 100.0 - x)
        if wide > 0:
            shapes.append(f'<rect class="{name}" x="{x:.2f}" width="{wide:.2f}" height="10"/>')
        x += wide
    return (
        '<svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="rest" width="100" height="10"/>{"".join(shapes)}</svg>'
    )
