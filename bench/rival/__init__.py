"""TimeTracker as it would be with django-dbbackup or django-pgclone in the place of its own backups."""
