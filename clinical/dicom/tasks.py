from clinical.accounts.scope import tenant_task
from clinical.dicom import arrivals


@tenant_task
def remove_discarded():
    """Beat's: what was discarded weeks ago goes for good."""
    arrivals.remove_discarded()
