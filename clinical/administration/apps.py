from django.contrib.admin.apps import AdminConfig


class AdministrationConfig(AdminConfig):
    """Django's administration, with the portal's own idea of who comes in."""

    default_site = "clinical.administration.site.Administration"
