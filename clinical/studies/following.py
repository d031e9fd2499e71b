"""A study follows its analysis, until a doctor takes over."""

from django.dispatch import receiver

from clinical.studies.judgement import judge, locked
from clinical.studies.models import State, Study
from clinical.studies.workflow import TABLE
from inference.workflow import analysis_changed


@receiver(analysis_changed)
def follow(sender, analysis, **kwargs):
    if analysis.previous_id:
        # Locked: a signature comes before or after this, never in between.
        asked = Study.objects.select_for_update(of=("self",)).filter(reanalysis=analysis).first()
        if asked:
            _end_reanalysis(asked, analysis)
            return
    studies = Study.objects.filter(analysis=analysis)
    if analysis.state != State.ANALYSED:
        studies.update(state=analysis.state)
        return
    for study in locked(studies):
        study.analysis, study.state = analysis, analysis.state
        study.sds = study.assessment.sds
        study.save(update_fields=["state", "sds"])


def _end_reanalysis(study, analysis):
    """Put what has succeeded in the place of the study's analysis; a study that was signed meanwhile stays as it is."""
    if analysis.is_pending:
        return
    study.reanalysis = None
    if analysis.state == State.ANALYSED and study.state in TABLE["reanalyse"]:
        study.analysis = analysis
    study.save(update_fields=["analysis", "reanalysis"])
    judge(Study.objects.filter(pk=study.pk))
