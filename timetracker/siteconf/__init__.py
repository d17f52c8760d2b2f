"""The settings of this site that people edit, and their snapshot for backups."""
