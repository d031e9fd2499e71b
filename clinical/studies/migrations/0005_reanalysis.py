import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("inference", "0003_the_latest_version_is_active"),
        ("studies", "0004_image_statistics"),
    ]

    operations = [
        migrations.AddField(
            model_name="study",
            name="reanalysis",
            field=models.OneToOneField(
                help_text="Under way with another version of the model; takes the place of `analysis` if it succeeds.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="inference.analysis",
            ),
        ),
    ]
