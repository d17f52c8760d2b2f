import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('siteconf', '0002_invoice_words'),
    ]

    operations = [
        migrations.AddField(
            model_name='sitesettings',
            name='portal_color',
            field=models.CharField(blank=True, help_text="Of links and buttons in the clients' portal, such as #1f5f8b; made lighter or darker where they could not be read.", max_length=7, validators=[django.core.validators.RegexValidator('\\A#[0-9a-fA-F]{6}\\Z', 'A colour is # and six digits 0-9 or a-f, such as #1f5f8b.')], verbose_name='portal colour'),
        ),
    ]
