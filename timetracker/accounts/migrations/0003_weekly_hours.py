import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0002_roles'),
    ]

    operations = [
        migrations.AddField(
            model_name='user',
            name='weekly_hours',
            field=models.DecimalField(blank=True, decimal_places=2, help_text='Hours a week that are agreed; empty: none.', max_digits=5, null=True, validators=[django.core.validators.MinValueValidator(0), django.core.validators.MaxValueValidator(168)]),
        ),
        migrations.AddConstraint(
            model_name='user',
            constraint=models.CheckConstraint(condition=models.Q(('weekly_hours__isnull', True), models.Q(('weekly_hours__gte', 0), ('weekly_hours__lte', 168)), _connector='OR'), name='accounts_user_week_has_168_hours', violation_error_message='A week has between 0 and 168 hours.'),
        ),
    ]
