"""Clients and their documents."""
