"""The conclusion of a report in one sentence."""

from clinical.growth.ages import completed, in_words


def impression(bone_age_months, age_months, assessment):
    """What a bone age at a chronological age means by its assessment, as a doctor would write it."""
    age = f"chronological age of {in_words(completed(age_months))}"
    if assessment.gestation:
        corrected = in_words(completed(assessment.age_months))
        age = f"corrected age of {corrected} (birth at {assessment.gestation} weeks; {age})"
    ages = f"Bone age {in_words(bone_age_months)} at a {age}"
    if assessment.sds is None:
        return f"{ages}; not judged: {assessment.reason}"
    sds = f"{assessment.sds:+.2f}".replace("-", "−")
    return f"{ages}: {assessment.determination} (SDS {sds}, {assessment.reference.name})."
