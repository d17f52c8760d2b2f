"""Golden archives: made once per format and engine, kept in the repository for ever, restored by every later version.

``python -m backups.tests.golden`` makes those of the current format that are not yet in ``backups/tests/archives/``. One that
is there is never made again: it stands for what people have in their stores.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from backups.tests.servers import PgCluster, oldest_pg_major, running
from backups.tests.site import Site, SiteTemplates

__all__ = ["ARCHIVES", "LARGEST", "PASSWORD", "SIGNING_KEY", "UPLOADS", "golden_archives"]

ARCHIVES = Path(__file__).parent / "archives"
FORMAT = 1
# Bytes; they are in every clone for ever.
LARGEST = 200_000
SIGNING_KEY = "the-key-of-the-golden-archives"
PASSWORD = "golden password 1"
UPLOADS = {
    "documents/contract.txt": "Signed on the first of March.\n",
    "logo/ünïcode näme.svg": "<svg xmlns='http://www.w3.org/2000/svg'/>\n",
}

FILL = f"""
from datetime import UTC, datetime
from django.contrib.auth import get_user_model
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from timetracker.clients.models import Client, Document
from timetracker.tracking.models import Project, Task, TimeEntry

user = get_user_model().objects.create_superuser('golden', password={PASSWORD!r})
client = Client.objects.create(name='Gold & Söhne')
project = Project.objects.create(client=client, name='Façade', code='GOLD')
task = Task.objects.create(project=project, name='Measure')
for day in (1, 2, 3):
    TimeEntry.objects.create(
        user=user, project=project, task=task, notes=f'Day {{day}}: 10 m × 4 m',
        started_at=datetime(2025, 3, day, 8, tzinfo=UTC), ended_at=datetime(2025, 3, day, 16, 30, tzinfo=UTC),
    )
for name, text in {UPLOADS!r}.items():
    default_storage.save(name, ContentFile(text.encode()))
Document.objects.create(client=client, title='Contract', file='documents/contract.txt')
"""


def golden_archives() -> list[Path]:
    """All golden archives, of every format."""
    return sorted(ARCHIVES.glob("format*.zip"))


def make(site: Site, path: Path) -> None:
    """Fill ``site`` and write its archive to ``path``."""
    site.extra_env["BACKUPS_SIGNING_KEYS"] = SIGNING_KEY
    site.manage("shell", "--verbosity", "0", "--command", FILL)
    site.manage("backup_create", "--note", f"golden archive of format {FORMAT}", "--output", path)


def main() -> int:
    """Make what is missing."""
    ARCHIVES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, running(PgCluster(oldest_pg_major(), fsync=False)) as cluster:
        templates = SiteTemplates(Path(folder))
        for vendor, server in (("sqlite", None), ("postgresql", cluster)):
            path = ARCHIVES / f"format{FORMAT}-{vendor}.zip"
            if path.exists():
                print(f"{path.name} is there already and stays as it is.")
                continue
            site = templates.site(server)
            # Made elsewhere and moved here whole, so that an interruption leaves nothing half.
            make(site, Path(folder) / path.name)
            shutil.copyfile(Path(folder) / path.name, path)
            print(f"{path.name}: {path.stat().st_size} bytes")
            site.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
