"""Invoices, payments and expenses."""
