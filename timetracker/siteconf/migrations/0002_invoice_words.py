"""What new invoices say below their lines, and what they call the tax."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('siteconf', '0001_initial'),
    ]

    operations = [
        migrations.AddField(
            model_name='sitesettings',
            name='invoice_notes',
            field=models.TextField(blank=True, help_text='Written on each new invoice, below its lines; can be changed there.'),
        ),
        migrations.AddField(
            model_name='sitesettings',
            name='tax_name',
            field=models.CharField(default='Tax', help_text='As invoices call it, such as VAT.', max_length=20),
        ),
    ]
