"""Imports: files of time entries, clients and projects that people bring in from other programs."""
