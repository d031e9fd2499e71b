"""Who uses the portal: hospitals, those who upload and those who read."""

from django.db.models import Count, Q
from django.db.models.functions import Abs

from boneage_portal.dashboards import figures
from boneage_portal.dashboards.board import Board, Number, Table, Tile, percent
from clinical.studies.expressions import AGREED_MONTHS, AI_MONTHS, DOCTOR_MONTHS, READ_WITH_AI
from clinical.studies.models import State, Study

TITLE = "Usage"
CHARTS = {
    "hospitals": ("Studies by hospital", "By how far they have come."),
    "doctors": ("Readings by doctor", "Agreed with the AI's value, or overruled."),
}
SIGNED = (State.SIGNED, State.RELEASED)
SHOWN = 20  # bars of a chart; the table has all


def board(selection):
    studies = selection.rows(Study.objects.all(), "submitted_at")
    hospitals = list(
        studies.values_list("hospital", "hospital__name")
        .annotate(n=Count("*"), read=Count("review"), signed=Count("pk", filter=Q(state__in=SIGNED)))
        .order_by("-n", "hospital__name")
    )
    if not hospitals:
        return None
    doctors = list(
        studies.filter(review__isnull=False)
        .alias(apart=Abs(AI_MONTHS - DOCTOR_MONTHS))
        .values_list("review__doctor", "review__doctor__name")
        .annotate(
            n=Count("*"),
            agreed=Count("pk", filter=READ_WITH_AI & Q(apart__lt=AGREED_MONTHS)),
            overruled=Count("pk", filter=READ_WITH_AI & Q(apart__gte=AGREED_MONTHS)),
        )
        .order_by("-n", "review__doctor__name", "review__doctor")
    )
    uploaders = list(
        studies.values_list("submitted_by", "submitted_by__name")
        .annotate(n=Count("*"))
        .order_by("-n", "submitted_by__name", "submitted_by")
    )
    total = sum(n for _, _, n, _, _ in hospitals)
    read = sum(n for _, _, _, n, _ in hospitals)
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

    def of_hospital(key, n, **filters):
        return Number(n, selection.studies(hospital=key, **filters), n / total)

    def of_doctor(key, n, reading=None):
        return Number(n, selection.studies(review__doctor__id__exact=key, reading=reading), n / read)

    by_hospital = figures.figure("Studies", "", "x", barmode="stack")
    top = hospitals[SHOWN - 1 :: -1] if len(hospitals) > SHOWN else hospitals[::-1]
    names = [name for _, name, _, _, _ in top]
    stages = {
        "Signed": (
            [of_hospital(key, signed, state__in=",".join(SIGNED)) for key, _, _, _, signed in top],
            figures.GOOD,
        ),
        "Not signed": (
            [
                of_hospital(key, n - signed, state__in=",".join(state for state in State if state not in SIGNED))
                for key, _, n, _, signed in top
            ],
            figures.ACCENT,
        ),
    }
    for stage, (numbers, colour) in stages.items():
        figures.bars(by_hospital, stage, names, numbers, colour, orientation="h")
    by_doctor = figures.nothing("No study of these days was read by a doctor.")
    if doctors:
        by_doctor = figures.figure("Studies", "", "x", barmode="stack")
        top = doctors[SHOWN - 1 :: -1] if len(doctors) > SHOWN else doctors[::-1]
        names = [name for _, name, *_ in top]
        agreed = [of_doctor(key, n, "agreed") for key, _, _, n, _ in top]
        overruled = [of_doctor(key, n, "overruled") for key, _, _, _, n in top]
        figures.bars(by_doctor, "Agreed with the AI", names, agreed, figures.ACCENT, orientation="h")
        figures.bars(by_doctor, "Overruled the AI", names, overruled, figures.WARN, orientation="h")
    return Board(
        tiles,
        {"hospitals": by_hospital, "doctors": by_doctor},
        [
            Table(
                "Hospitals",
                ["Hospital", "Studies", "Read", "Signed"],
                [
                    [
                        name,
                        of_hospital(key, n),
                        of_hospital(key, read, review__isnull=False),
                        of_hospital(key, signed, state__in=",".join(SIGNED)),
                    ]
                    for key, name, n, read, signed in hospitals
                ],
            ),
            Table(
                "Doctors",
                ["Doctor", "Read", "Agreed", "Overruled", "Share overruled"],
                [
                    [
                        name,
                        of_doctor(key, n),
                        of_doctor(key, agreed, "agreed"),
                        of_doctor(key, over, "overruled"),
                        percent(over, agreed + over),
                    ]
                    for key, name, n, agreed, over in doctors
                ],
                "What the AI could not read, and what was withdrawn, counts as read, but neither as agreed nor as "
                "overruled.",
            ),
            Table(
                "Uploads",
                ["Person", "Studies"],
                [
                    [name, Number(n, selection.studies(submitted_by__id__exact=key), n / total)]
                    for key, name, n in uploaders
                ],
            ),
        ],
    )
