from django.db import migrations, models
from django.db.models import Case, GeneratedField, Index, Q, SmallIntegerField, Value, When

PENDING, TROUBLE = ("queued", "analysing"), ("failed", "rejected")
TURNS = {
    "doctors_turn": (
        [TROUBLE, ["analysed"], ["reviewed"], ["signed"], PENDING],
        "studies_stu_hospita_342f63_idx",
    ),
    "technicians_turn": (
        [TROUBLE, PENDING, ["analysed"], ["reviewed"], ["signed"]],
        "studies_stu_hospita_fefbfb_idx",
    ),
}


def _made_anew(name, groups, index):
    """A generated column cannot be altered."""
    places = [When(state__in=group, then=Value(place)) for place, group in enumerate(groups)]
    done = ("signed", "released", "cancelled")
    ahead = Case(When(Q(~Q(state__in=done), urgent=True), then=Value(10)), default=Value(0))
    expression = Case(*places, default=Value(len(groups))) - ahead
    field = GeneratedField(db_persist=True, expression=expression, output_field=SmallIntegerField())
    fields = ["hospital", name, "-submitted_at", "-id"]
    return [
        migrations.RemoveIndex(model_name="study", name=index),
        migrations.RemoveField(model_name="study", name=name),
        migrations.AddField(model_name="study", name=name, field=field),
        migrations.AddIndex(model_name="study", index=Index(fields=fields, name=index)),
    ]


class Migration(migrations.Migration):
    dependencies = [("studies", "0014_gestational_age")]

    operations = [
        migrations.AddField(
            model_name="study",
            name="urgent",
            field=models.BooleanField(
                default=False, help_text="Read before the others that wait, by the model and by doctors."
            ),
        ),
        *(operation for name, (groups, index) in TURNS.items() for operation in _made_anew(name, groups, index)),
    ]
