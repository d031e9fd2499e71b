"""The conclusion of a report in one sentence."""

from clinical.growth.ages import in_words


def impression(study, bone_age_months):
    """What a bone age of `study` means by the hospital's reference table, as a doctor would write it."""
    assessment = study.assess(bone_age_months)
    ages = f"Bone age {in_words(bone_age_months)} at a chronological age of {in_words(study.chronological_age_months)}"
    if assessment.sds is None:
        return f"{ages}; not judged: {assessment.reason}"
    sds = f"{assessment.sds:+.2f}".replace("-", "−")
    return f"{ages}: {assessment.determination} (SDS {sds}, {assessment.reference.name})."
