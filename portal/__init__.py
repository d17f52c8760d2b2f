"""The clients' portal: what a client's people see of their projects, time, invoices and documents.

``access`` decides who may see a page, ``figures`` reads what a client may know and nothing else, ``invitations`` lets
people in. Templates get the client by ``context_processors``. Of the backups app only the gate is used.
"""
