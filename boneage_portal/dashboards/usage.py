"""Who uses the portal: hospitals, those who upload and those who read."""

from django.db.models import Count, Q
from django.db.models.functions import Abs

from boneage_portal.dashboards import figures
from boneage_portal.dashboards.board import Board, Number, Table, Tile, percent
from clinical.studies.expressions import AGREED_MONTHS, AI_MONTHS, DOCTOR_MONTHS, READ_WITH_AI
from clinical.studies.models import SIGNED, State, Study

TITLE = "Usage"
CHARTS = {
    "hospitals": ("Studies by hospital", "By how far they have come."),
    "doctors": ("Readings by doctor", "Agreed with the AI's value, or overruled."),
}
SHOWN = 20  # bars of a chart; the table has all


def board(selection):
    studies = selection.rows(Study.objects.all(), "submitted_at")
    hospitals = _hospitals(studies)
    if not hospitals:
        return None
    doctors = _doctors(studies)
    total, read = sum(row["n"] for row in hospitals), sum(row["read"] for row in hospitals)
    tiles = [
        Tile("Hospitals with studies", Number(len(hospitals))),
        Tile("Studies", Number(total, selection.studies())),
        Tile(
            "Read by a doctor",
            Number(read, selection.studies(review__isnull=False), read / total),
            percent(read, total),
        ),
        Tile("Doctors who read", Number(len(doctors))),
    ]
    by_hospital, of_hospitals = _draw_hospitals(selection, hospitals, total)
    by_doctor, of_doctors = _draw_doctors(selection, doctors, read)
    uploads = [
        [
            row["submitted_by__name"],
            Number(row["n"], selection.studies(submitted_by__id__exact=row["submitted_by"]), row["n"] / total),
        ]
        for row in _uploaders(studies)
    ]
    return Board(
        tiles,
        {"hospitals": by_hospital, "doctors": by_doctor},
        [of_hospitals, of_doctors, Table("Uploads", ["Person", "Studies"], uploads)],
    )


def _hospitals(studies):
    return list(
        studies.values("hospital", "hospital__name")
        .annotate(n=Count("*"), read=Count("review"), signed=Count("pk", filter=Q(state__in=SIGNED)))
        .order_by("-n", "hospital__name")
    )


def _doctors(studies):
    return list(
        studies.filter(review__isnull=False)
        .alias(apart=Abs(AI_MONTHS - DOCTOR_MONTHS))
        .values("review__doctor", "review__doctor__name")
        .annotate(
            n=Count("*"),
            agreed=Count("pk", filter=READ_WITH_AI & Q(apart__lt=AGREED_MONTHS)),
            overruled=Count("pk", filter=READ_WITH_AI & Q(apart__gte=AGREED_MONTHS)),
        )
        .order_by("-n", "review__doctor__name", "review__doctor")
    )


def _uploaders(studies):
    people = studies.values("submitted_by", "submitted_by__name").annotate(n=Count("*"))
    return people.order_by("-n", "submitted_by__name", "submitted_by")


def _draw_hospitals(selection, hospitals, total):
    """Chart and table."""
    is_signed = ",".join(SIGNED)
    is_not = ",".join(state for state in State if state not in SIGNED)

    def of(row, n, **filters):
        return Number(n, selection.studies(hospital=row["hospital"], **filters), n / total)

    chart, top = figures.figure("Studies", "", "x", barmode="stack"), hospitals[:SHOWN][::-1]
    names = [row["hospital__name"] for row in top]
    signed = [of(row, row["signed"], state__in=is_signed) for row in top]
    others = [of(row, row["n"] - row["signed"], state__in=is_not) for row in top]
    figures.bars(chart, "Signed", names, signed, figures.GOOD, orientation="h")
    figures.bars(chart, "Not signed", names, others, figures.ACCENT, orientation="h")
    rows = [
        [
            row["hospital__name"],
            of(row, row["n"]),
            of(row, row["read"], review__isnull=False),
            of(row, row["signed"], state__in=is_signed),
        ]
        for row in hospitals
    ]
    return chart, Table("Hospitals", ["Hospital", "Studies", "Read", "Signed"], rows)


def _draw_doctors(selection, doctors, read):
    """Chart and table."""

    def of(row, n, reading=None):
        return Number(n, selection.studies(review__doctor__id__exact=row["review__doctor"], reading=reading), n / read)

    chart = figures.nothing("No study of these days was read by a doctor.")
    if doctors:
        chart, top = figures.figure("Studies", "", "x", barmode="stack"), doctors[:SHOWN][::-1]
        names = [row["review__doctor__name"] for row in top]
        agreed = [of(row, row["agreed"], "agreed") for row in top]
        overruled = [of(row, row["overruled"], "overruled") for row in top]
        figures.bars(chart, "Agreed with the AI", names, agreed, figures.ACCENT, orientation="h")
        figures.bars(chart, "Overruled the AI", names, overruled, figures.WARN, orientation="h")
    rows = [
        [
            row["review__doctor__name"],
            of(row, row["n"]),
            of(row, row["agreed"], "agreed"),
            of(row, row["overruled"], "overruled"),
            percent(row["overruled"], row["agreed"] + row["overruled"]),
        ]
        for row in doctors
    ]
    return chart, Table(
        "Doctors",
        ["Doctor", "Read", "Agreed", "Overruled", "Share overruled"],
        rows,
        "What the AI could not read, and what was withdrawn, counts as read, but neither as agreed nor as overruled.",
    )
