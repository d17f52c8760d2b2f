"""Invoices get their number when they are issued, keep their PDF, and say who issued them and to whom they were mailed.

Numbers that were given before stay, also those of drafts: only what is written from now on begins without one.
"""

import django.db.models.deletion
import timetracker.billing.models
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0002_initial'),
        ('clients', '0001_initial'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name='invoice',
            name='billing_invoice_number_not_empty',
        ),
        migrations.AddField(
            model_name='invoice',
            name='issued_by',
            field=models.ForeignKey(blank=True, db_index=False, editable=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='invoice',
            name='mailed_at',
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name='invoice',
            name='mailed_to',
            field=models.TextField(blank=True, editable=False, help_text='Addresses of the last mail, separated by commas.'),
        ),
        migrations.AddField(
            model_name='invoice',
            name='pdf',
            field=models.FileField(blank=True, editable=False, max_length=255, upload_to='invoices/%Y/%m/', verbose_name='PDF'),
        ),
        migrations.AddField(
            model_name='invoiceitem',
            name='unit',
            field=models.CharField(blank=True, help_text='Such as h; printed behind the quantity.', max_length=10),
        ),
        migrations.AlterField(
            model_name='invoice',
            name='due_on',
            field=models.DateField(verbose_name='due'),
        ),
        migrations.AlterField(
            model_name='invoice',
            name='issued_on',
            field=models.DateField(default=timetracker.billing.models.today, verbose_name='date'),
        ),
        migrations.AlterField(
            model_name='invoice',
            name='number',
            field=models.CharField(blank=True, default='', help_text='Given when the invoice is issued.', max_length=40),
        ),
        migrations.AlterField(
            model_name='invoice',
            name='status',
            field=models.CharField(choices=[('draft', 'Draft'), ('sent', 'Issued'), ('paid', 'Paid'), ('cancelled', 'Cancelled')], default='draft', max_length=10),
        ),
        migrations.AddConstraint(
            model_name='invoice',
            constraint=models.UniqueConstraint(condition=models.Q(('number', ''), _negated=True), fields=('number',), name='billing_invoice_number_unique', violation_error_message='There is an invoice of this number already.'),
        ),
        migrations.AddConstraint(
            model_name='invoice',
            constraint=models.CheckConstraint(condition=models.Q(('status', 'draft'), models.Q(('number', ''), _negated=True), _connector='OR'), name='billing_invoice_issued_has_number', violation_error_message='An invoice that is no draft has a number.'),
        ),
        migrations.AlterConstraint(
            model_name='invoice',
            name='billing_invoice_status_known',
            constraint=models.CheckConstraint(condition=models.Q(('status__in', ['draft', 'sent', 'paid', 'cancelled'])), name='billing_invoice_status_known', violation_error_message='An invoice is a draft, issued, paid or cancelled.'),
        ),
    ]
