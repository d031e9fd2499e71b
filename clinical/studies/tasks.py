from clinical.accounts.scope import tenant_task
from clinical.studies import judgement, occlusion


@tenant_task
def draw_row(*, occlusion_id, row):
    """One row of an occlusion map: see `occlusion.draw_row`."""
    occlusion.draw_row(occlusion_id, row)


@tenant_task
def judge_slice(*, after):
    """Some of a hospital's studies by another reference table: see `judgement.judge_slice`."""
    judgement.judge_slice(after)
