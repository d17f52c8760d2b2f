from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('tracking', '0001_initial'),
    ]

    operations = [
        migrations.AlterModelOptions(
            name='timeentry',
            options={'ordering': ['-started_at', '-id'], 'permissions': [('view_all_entries', 'Can view the time entries of everybody'), ('view_money', 'Can view rates and amounts')], 'verbose_name_plural': 'time entries'},
        ),
    ]
