"""Whether a reading can be meant: beyond these a doctor is asked once whether child, sex and date are right."""

DIFFERENCE_MONTHS, SDS = 12, 4
FAR_OFF = f"Bone age and the child's age are more than {SDS} SD apart."


def doubts(study, bone_age_months):
    """Sentences that ask whether a bone age is meant, or none."""
    reasons = study.questions
    estimate = study.analysis.bone_age_months
    if estimate is not None and abs(bone_age_months - estimate) > DIFFERENCE_MONTHS:
        reasons.append(f"The AI estimate differs by more than {DIFFERENCE_MONTHS} months.")
    if is_far_off(study.assess(bone_age_months)):
        reasons.append(FAR_OFF)
    return reasons


def is_far_off(assessment):
    """Whether a bone age is so far from the child's age that child, sex and date are asked about."""
    return assessment.sds is not None and abs(assessment.sds) > SDS
