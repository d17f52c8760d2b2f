"""Schedules, and one to begin with: who never looks at backups has one every night all the same."""

import datetime
import backups.models
import django.core.validators
import django.utils.timezone
from django.db import migrations, models


def make_default_schedule(apps, schema_editor):
    schedules = apps.get_model("backups", "BackupSchedule").objects.using(schema_editor.connection.alias)
    if not schedules.exists():
        schedules.create(is_default=True)


class Migration(migrations.Migration):

    dependencies = [
        ('backups', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='BackupSchedule',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('key', models.CharField(default=backups.models.schedule_key, editable=False, help_text='Names the schedule in its archives, also after a restore.', max_length=8, unique=True)),
                ('enabled', models.BooleanField(default=True)),
                ('days', models.PositiveSmallIntegerField(default=127, help_text='Days of the week as bits: 1 is Monday, 64 is Sunday.', validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(127)])),
                ('at', models.TimeField(default=datetime.time(2, 30), help_text='Time of day in the time zone below.', verbose_name='time')),
                ('time_zone', models.CharField(default=backups.models.default_time_zone, max_length=63, validators=[backups.models.validate_time_zone])),
                ('uploads', models.BooleanField(default=True, help_text='Without them an archive holds the database and the settings alone.', verbose_name='with uploads')),
                ('note', models.TextField(blank=True, help_text='Stays with each archive that this schedule makes.')),
                ('keep_last', models.PositiveSmallIntegerField(default=3, help_text='Keep so many of the newest.', verbose_name='last')),
                ('keep_daily', models.PositiveSmallIntegerField(default=7, help_text='Keep the newest of each of so many days.', verbose_name='daily')),
                ('keep_weekly', models.PositiveSmallIntegerField(default=4, help_text='Keep the newest of each of so many weeks.', verbose_name='weekly')),
                ('keep_monthly', models.PositiveSmallIntegerField(default=12, help_text='Keep the newest of each of so many months.', verbose_name='monthly')),
                ('keep_yearly', models.PositiveSmallIntegerField(default=0, help_text='Keep the newest of each of so many years.', verbose_name='yearly')),
                ('last_due_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('attempts', models.PositiveSmallIntegerField(default=0, editable=False)),
                ('next_attempt_at', models.DateTimeField(blank=True, editable=False, null=True)),
                ('last_error', models.TextField(blank=True, editable=False)),
                ('is_default', models.BooleanField(default=False, editable=False, help_text='Made by the installation, and never edited.')),
            ],
            options={
                'ordering': ('at', 'key'),
                'constraints': [models.CheckConstraint(condition=models.Q(('days__gte', 1), ('days__lte', 127)), name='backups_schedule_has_a_day'), models.CheckConstraint(condition=models.Q(('keep_last__gt', 0), ('keep_daily__gt', 0), ('keep_weekly__gt', 0), ('keep_monthly__gt', 0), ('keep_yearly__gt', 0), _connector='OR'), name='backups_schedule_keeps_something', violation_error_message='Keep at least one: with nothing but zeros, each backup would remove the one before it.'), models.CheckConstraint(condition=models.Q(models.Q(('attempts', 0), ('next_attempt_at', None)), models.Q(('attempts__gt', 0), ('next_attempt_at__isnull', False)), _connector='OR'), name='backups_schedule_attempt_has_a_time'), models.UniqueConstraint(condition=models.Q(('is_default', True)), fields=('is_default',), name='backups_schedule_one_default')],
            },
        ),
        migrations.RunPython(make_default_schedule, migrations.RunPython.noop, elidable=False),
    ]
