from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("growing", "0002_letters")]
    operations = [migrations.AlterField("Measure", "name", models.CharField(max_length=100, unique=True))]
