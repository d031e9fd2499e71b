from clinical.accounts.scope import every_hospital, tenant_task
from clinical.studies import comparison, judgement, occlusion, unfiled


@tenant_task
def draw_row(*, occlusion_id, row):
    """One row of an occlusion map: see `occlusion.draw_row`."""
    occlusion.draw_row(occlusion_id, row)


@tenant_task
def judge_due():
    """Once another reference table was chosen, and every minute: see `judgement.judge_due`."""
    with every_hospital():
        judgement.judge_due()


@tenant_task
def compare_due():
    """Once a record was corrected, and every minute: see `comparison.compare_due`."""
    with every_hospital():
        comparison.compare_due()


@tenant_task
def remove_unfiled():
    """Daily: see `unfiled.remove_unfiled`."""
    with every_hospital():
        unfiled.remove_unfiled()
