"""The team's pages about invoices and expenses."""
