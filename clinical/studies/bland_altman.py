"""A Bland-Altman plot as an SVG, in the colours of the reader's theme; each point leads to its row."""

from math import ceil, floor

WIDTH, HEIGHT = 760, 380
LEFT, RIGHT, TOP, BOTTOM = 56, 90, 16, 46
POINTS = 2000
"""The newest are drawn; the lines stand for all."""
SMALLEST_MONTHS = 6  # of the axis of differences, to either side, so that little scatter looks little


def plot(pairs, group, furthest):
    """The context of "versions/bland_altman.svg" for pairs that both have read, and their Group.

    The points of the `furthest` pairs are for keyboard and screen reader, too: among thousands nobody finds the way.
    """
    drawn, apart = pairs[:POINTS], {pair.key for pair in furthest}
    means, differences = [pair.mean / 12 for pair in drawn], [pair.difference for pair in drawn]
    lines = [("mean", group.bias)] + ([("limit", limit) for limit in group.limits] if group.limits else [])
    first, last = floor(min(means)), max(ceil(max(means)), floor(min(means)) + 1)
    reach = max(SMALLEST_MONTHS, *(abs(value) for value in differences), *(abs(value) for _, value in lines)) * 1.08
    step = _step(reach)

    def x(years):
        return round(LEFT + (years - first) / (last - first) * (WIDTH - LEFT - RIGHT), 1)

    def y(months):
        return round(TOP + (reach - months) / (2 * reach) * (HEIGHT - TOP - BOTTOM), 1)

    return {
        "width": WIDTH,
        "height": HEIGHT,
        "left": LEFT,
        "right": WIDTH - RIGHT,
        "top": TOP,
        "bottom": HEIGHT - BOTTOM,
        "points": [
            (x(mean), y(value), pair, pair.key in apart)
            for mean, value, pair in zip(means, differences, drawn, strict=True)
        ],
        "lines": [(kind, y(value), value) for kind, value in lines],
        "years": [(x(year), year) for year in range(first, last + 1, max(1, (last - first) // 10))],
        "months": [(y(value), value) for value in range(-step * int(reach // step), int(reach) + 1, step)],
        "left_out": len(pairs) - len(drawn),
    }


def _step(reach):
    """Months between two lines of the grid: some six to ten of them, in figures that people count in."""
    return next(step for step in (2, 3, 6, 12, 24, 48, 96) if reach / step <= 5)
