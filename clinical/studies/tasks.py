from clinical.accounts.scope import tenant_task
from clinical.studies import occlusion


@tenant_task
def draw_row(*, occlusion_id, row):
    """One row of an occlusion map: see `occlusion.draw_row`."""
    occlusion.draw_row(occlusion_id, row)
