"""What a released study says, in the words of everyday, spoken to the family."""

from clinical.growth.ages import completed, in_full
from clinical.patients.models import Relation

CHILD = {"F": ("girl", "girls", "She"), "M": ("boy", "boys", "He")}
JUDGEMENT = {
    "normal": "That fits the age: the bones of most {children} of that age are about as far.",
    "delayed": (
        "That is later than in most {children} of that age: the bones take more time to grow up. "
        "Why that is, and whether it matters, your doctor can tell you."
    ),
    "advanced": (
        "That is earlier than in most {children} of that age: the bones grow up faster. "
        "Why that is, and whether it matters, your doctor can tell you."
    ),
    "indeterminate": "For that age there is nothing to compare with, so the report says neither early nor late.",
}


def explain(study, relation):
    """Sentences on the reading of `study`, as it was judged when it was signed, to `relation` of the patient."""
    review, assessment = study.review, study.review.assessment
    child, children, pronoun = CHILD[review.sex]
    whose, was = {
        Relation.SELF: ("Your", "You were"),
        Relation.OF_ADULT: ("The patient's", f"{pronoun} was"),
    }.get(relation, ("Your child's", f"{pronoun} was"))
    since = in_full(completed(assessment.age_months)) if assessment.age_months >= 0 else "that was still to come"
    early = (
        f"{was} born early, at {_weeks(assessment.gestation)}, so the age is counted from the day on which the birth "
        f"was expected: {since}."
    )
    return [
        f"{whose} bones look like those of an average {child} of {in_full(review.bone_age_months)}.",
        f"{was} {in_full(completed(review.age_months))} old when the X-ray was taken.",
        *([early] if assessment.gestation else []),
        JUDGEMENT[assessment.determination].format(children=children),
    ]


def _weeks(gestation):
    """34+2 -> "34 weeks and 2 days"."""
    weeks, _, days = gestation.partition("+")
    return f"{weeks} weeks" if days in ("", "0") else f"{weeks} weeks and {days} day{'s' * (days != '1')}"
