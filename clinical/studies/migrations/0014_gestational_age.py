from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("studies", "0013_film_of_another"),
    ]

    operations = [
        migrations.AddField(
            model_name="review",
            name="gestational_age",
            field=models.CharField(blank=True, max_length=10, verbose_name="gestational age at birth"),
        ),
    ]
