"""Bone age against the age of the child as an SVG: for paper, so without anything to hover over."""

from math import ceil, floor

from django.template.loader import render_to_string

from clinical.growth.bone_age import band

WIDTH, HEIGHT = 330, 250
LEFT, RIGHT, TOP, BOTTOM = 34, 10, 12, 34
SHORTEST_YEARS = 4  # of the age axis, so that two films of one year do not look far apart


def svg(sex, reference, readings):
    """The +-2 SD band and the mean of a reference table, and the `readings`, which have ages in months."""
    first, last = _years([reading.age_months for reading in readings])
    norms = [norm for norm in band(sex, reference) if 12 * first <= norm.age_months <= 12 * last]
    heights = [reading.bone_age_months for reading in readings]
    heights += [limit for norm in norms for limit in (norm.low, norm.high)]
    bottom = max(0, floor(min(heights) / 12))
    top = max(ceil(max(heights) / 12), bottom + 1)  # readings of one whole year, and no row of the table beside them

    def x(months):
        return round(LEFT + (months / 12 - first) / (last - first) * (WIDTH - LEFT - RIGHT), 1)

    def y(months):
        return round(HEIGHT - BOTTOM - (months / 12 - bottom) / (top - bottom) * (HEIGHT - TOP - BOTTOM), 1)

    def line(points):
        return " ".join(f"{x(age)},{y(bone_age)}" for age, bone_age in points)

    upper = [(norm.age_months, norm.high) for norm in norms]
    lower = [(norm.age_months, norm.low) for norm in norms]
    return render_to_string(
        "reports/chart.svg",
        {
            "width": WIDTH,
            "height": HEIGHT,
            "left": LEFT,
            "right": WIDTH - RIGHT,
            "top": TOP,
            "bottom": HEIGHT - BOTTOM,
            "band": line(upper + lower[::-1]),
            "mean": line((norm.age_months, norm.mean) for norm in norms),
            "course": line((reading.age_months, reading.bone_age_months) for reading in readings),
            "points": [(x(reading.age_months), y(reading.bone_age_months)) for reading in readings],
            "is_corrected": any(reading.is_corrected for reading in readings),
            "ages": [(x(12 * year), year) for year in range(first, last + 1)],
            "bone_ages": [(y(12 * year), year) for year in range(bottom, top + 1, 1 if top - bottom < 9 else 2)],
        },
    )


def _years(ages):
    """The whole years of the age axis, around the `ages` in months."""
    least = min(0, floor(min(ages) / 12))  # a corrected age before the expected birth is below 0
    first, last = max(least, floor(min(ages) / 12 - 0.5)), ceil(max(ages) / 12 + 0.5)
    missing = max(0, SHORTEST_YEARS - (last - first))
    first = max(least, first - missing // 2)
    return first, max(last, first + SHORTEST_YEARS)
