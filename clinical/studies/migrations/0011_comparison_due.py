from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0004_told_ends_and_judged_to"),
        ("inference", "0005_trial_of_a_version_and_index_of_requests"),
        ("patients", "0006_search_text"),
        ("studies", "0010_cancellation"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="study",
            name="comparison_due",
            field=models.BooleanField(
                default=False, editable=False, help_text="The record was corrected since the file was compared with it."
            ),
        ),
        migrations.AddIndex(
            model_name="study",
            index=models.Index(
                condition=models.Q(("comparison_due", True)), fields=["id"], name="study_comparison_due"
            ),
        ),
    ]
