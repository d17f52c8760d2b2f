"""Pages for people: upload, download, preview, restore, undo. Mounted in the admin and, for Import/Export, outside it.

:mod:`~backups.pages.place` says where they are mounted. Each module holds one way through; none of them does work of its own: they
ask the workers (:func:`backups.pages.ask.task_request`) and show what journals, catalogue and health tell.
"""
