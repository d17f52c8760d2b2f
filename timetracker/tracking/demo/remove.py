"""Take the demo data away, and nothing else."""

from __future__ import annotations

import hashlib

from django.apps import apps
from django.contrib.admin.models import LogEntry
from django.core.files.storage import default_storage
from django.db import transaction
from django.db.models import FileField, ForeignKey, Model, Q

from timetracker.accounts.models import User
from timetracker.siteconf.models import SiteSettings
from timetracker.tracking.demo.files import remove_empty_folders
from timetracker.tracking.demo.make import DEMO_MODELS, DemoReport
from timetracker.tracking.demo.refusal import DemoRefused
from timetracker.tracking.demo.tables import lock_tables
from timetracker.tracking.models import DemoRun

__all__ = ["demo_remove"]

# Rows that belong to a user and go with her.
_GO_WITH_USERS = {LogEntry, User.groups.through, User.user_permissions.through}

Ranges = dict[type[Model], tuple[int, int]]


def demo_remove() -> DemoReport:
    """Delete the rows and the files that ``demo_make`` made, in one transaction, files last; say what went and what was kept.

    Raises :class:`DemoRefused`, naming them, where rows of people refer to demo rows or the other way round. Site settings
    that somebody has changed since are kept, and so is a file whose content is another one by now.
    """
    with transaction.atomic():
        lock_tables([DemoRun, SiteSettings, *DEMO_MODELS])
        run = DemoRun.objects.first()
        if run is None:
            raise DemoRefused("There is no demo data here.")
        ranges: Ranges = {apps.get_model(label): (first, last) for label, (first, last) in run.rows.items()}
        kept: list[str] = []
        files = dict(run.files)
        if SiteSettings in ranges:
            del ranges[SiteSettings]
            _remove_site_settings(files, kept)
        _refuse_ties(ranges)
        kept += _own_files(ranges, files)
        counts = {}
        for model in reversed(DEMO_MODELS):
            if model in ranges:
                # Not as people delete: of them an issued invoice stays.
                _, deleted = model._base_manager.filter(pk__range=ranges[model]).delete()
                counts[str(model._meta.verbose_name_plural)] = deleted.get(model._meta.label, 0)
        run.delete()
    removed, size = _remove_files(files, kept)
    return DemoReport(dict(reversed(counts.items())), removed, size, tuple(kept))


def _remove_site_settings(files: dict[str, str], kept: list[str]) -> None:
    site = SiteSettings.objects.first()
    if site is None:
        return
    if site.updated_at == site.created_at:
        site.delete()
        return
    kept.append("The site settings were changed since and are kept.")
    if site.logo.name in files:
        del files[site.logo.name]


def _refuse_ties(ranges: Ranges) -> None:
    """Refuse where a row outside ``ranges`` refers to a row in them, or the other way round."""
    ties = []
    for model in apps.get_models(include_auto_created=True):
        for field in model._meta.concrete_fields:
            if isinstance(field, ForeignKey) and model not in _GO_WITH_USERS:
                ties += _ties(model, field, field.remote_field.model, ranges)
    if ties:
        raise DemoRefused("People's own rows and demo rows refer to each other: " + "; ".join(ties) + ". Change or delete these first.")


def _ties(model: type[Model], field: ForeignKey[object, object], target: type[Model], ranges: Ranges) -> list[str]:
    rows = model._default_manager.all()
    found = []
    if target in ranges:
        to_demo = rows.filter(_within(field.attname, ranges[target]))
        own = to_demo.exclude(pk__range=ranges[model]) if model in ranges else to_demo
        if count := own.count():
            found.append(f"{count} {_noun(model, count)} of people ({_first_ids(own)}), tied to demo {target._meta.verbose_name_plural}")
    if model in ranges:
        away = rows.filter(pk__range=ranges[model], **{f"{field.attname}__isnull": False})
        if target in ranges:
            away = away.exclude(_within(field.attname, ranges[target]))
        if count := away.count():
            found.append(f"{count} demo {_noun(model, count)} ({_first_ids(away)}), tied to {target._meta.verbose_name_plural} of people")
    return found


def _noun(model: type[Model], count: int) -> str:
    return str(model._meta.verbose_name if count == 1 else model._meta.verbose_name_plural)


def _within(name: str, span: tuple[int, int]) -> Q:
    """Foreign keys know no ``range``."""
    return Q(**{f"{name}__gte": span[0], f"{name}__lte": span[1]})


def _first_ids(rows) -> str:  # type: ignore[no-untyped-def]
    return "id " + ", ".join(str(pk) for pk in rows.order_by("pk").values_list("pk", flat=True)[:3])


def _own_files(ranges: Ranges, files: dict[str, str]) -> list[str]:
    """Name the files that people have put in the place of demo files: their rows go, they stay."""
    kept = []
    for model, span in ranges.items():
        for field in model._meta.concrete_fields:
            if isinstance(field, FileField):
                names = model._default_manager.filter(pk__range=span).exclude(**{field.name: ""}).values_list(field.name, flat=True)
                kept += [f"{name} was put there since and is kept." for name in names.iterator() if name not in files]
    return kept


def _remove_files(files: dict[str, str], kept: list[str]) -> tuple[int, int]:
    """Delete the files whose content is what was written; return how many, and their bytes."""
    count = size = 0
    for name, sha256 in files.items():
        if not default_storage.exists(name):
            continue
        with default_storage.open(name) as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
                kept.append(f"{name} has another content since and is kept.")
                continue
            size += file.size
        default_storage.delete(name)
        count += 1
    remove_empty_folders(default_storage, files)
    return count, size
