"""Side by side: our backups, those of others, and what the machine can do at best. ``./run bench`` is the command.

Nothing of the product imports this package, and it is in no image. What it measures, and how, is in
``docs/admin/PERFORMANCE.md``.
"""
