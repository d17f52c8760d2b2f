"""Peak memory of create and restore does not grow with the data."""

from __future__ import annotations

import pytest

from backups.tests.measured import measured_run
from backups.tests.site import Site, SiteTemplates, populate


def _peaks(site: Site, entries: int) -> tuple[int, int]:
    populate(site, entries=entries, uploads_mb=1)
    target = site.data_dir / "archive.zip"
    created = measured_run(site, "backup_create", "--output", target, "--no-progress")
    restored = measured_run(site, "backup_restore", target, "--no-input", "--no-progress")
    return created.peak_kib, restored.peak_kib


def _compared(site: Site, site_templates: SiteTemplates, few: int, many: int, factor: float) -> None:
    small = _peaks(site, few)
    large_site = site_templates.site(site.cluster)
    try:
        large = _peaks(large_site, many)
    finally:
        large_site.close()
    for what, before, after in zip(("create", "restore"), small, large, strict=True):
        print(f"{site.vendor}: {what}: {before} KiB with {few} entries, {after} KiB with {many} ({100 * (after / before - 1):+.1f} %)")
        assert after < before * factor, f"{what} needs memory for its rows"


def test_memory_does_not_grow_with_the_rows(site: Site, site_templates: SiteTemplates) -> None:
    # Buffers are nearly full by then (the rest is 6 %); 120,000 rows more, held in memory, would be over 50 MB, that is 80 %.
    _compared(site, site_templates, 60_000, 180_000, 1.15)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_memory_is_flat_from_250_thousand_to_2_million_entries(site: Site, site_templates: SiteTemplates) -> None:
    _compared(site, site_templates, 250_000, 2_000_000, 1.05)
