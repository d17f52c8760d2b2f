from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('clients', '0001_initial'),
    ]

    operations = [
        migrations.AddField(
            model_name='client',
            name='portal_shows_amounts',
            field=models.BooleanField(default=True, help_text='Off: invoices without prices, sums and their PDF.', verbose_name='portal shows amounts'),
        ),
        migrations.AddField(
            model_name='client',
            name='portal_shows_notes',
            field=models.BooleanField(default=True, help_text='The notes of time entries.', verbose_name='portal shows notes'),
        ),
        migrations.AddField(
            model_name='client',
            name='portal_shows_people',
            field=models.BooleanField(default=True, help_text="Who has worked; off: no person's name.", verbose_name='portal shows names'),
        ),
        migrations.AddField(
            model_name='client',
            name='portal_shows_unbilled',
            field=models.BooleanField(default=True, help_text='Off: time appears with its invoice, in sums and budgets too.', verbose_name='portal shows time before it is billed'),
        ),
    ]
