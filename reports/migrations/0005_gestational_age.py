from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("reports", "0004_dispatch"),
    ]

    operations = [
        migrations.AddField(
            model_name="report",
            name="gestational_age",
            field=models.CharField(blank=True, max_length=10, verbose_name="gestational age at birth"),
        ),
    ]
