from django.db import migrations, models


def count(apps, schema_editor):
    for measure in apps.get_model("growing", "Measure").objects.all():
        measure.letters = len(measure.name)
        measure.save()


class Migration(migrations.Migration):
    dependencies = [("growing", "0001_initial")]
    operations = [
        migrations.AddField("Measure", "letters", models.PositiveIntegerField(default=0), preserve_default=False),
        migrations.RunPython(count, migrations.RunPython.noop),
    ]
