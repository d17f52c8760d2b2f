"""Settings of TimeTracker, all from the environment (docs/admin/SETTINGS.md lists every variable).

Defaults are safe and need no server: SQLite in WAL mode, files below ``DATA_DIR``, ``DEBUG`` off.
"""

from __future__ import annotations

import hashlib
import os
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

from backups.conf import SETTING_DEFAULTS
from timetracker import __version__
from timetracker.database_url import database_settings
from timetracker.mail_url import mail_settings
from timetracker.secret_files import with_secret_files

env = environ.Env()
env.ENVIRON = with_secret_files(os.environ)


def _number(name: str, default: int) -> int:
    try:
        return int(env.int(name, default=default))
    except ValueError:
        raise ImproperlyConfigured(f"{name} must be a whole number, such as {default}. It is {env.str(name)!r}.") from None


BASE_DIR = Path(__file__).resolve().parent.parent
# Relative paths begin at the project's folder and not at the caller's: cron, a shell and ./run mean the same place.
DATA_DIR = (BASE_DIR / (env.str("DATA_DIR", default="") or "var")).resolve()
STATE_DIR = DATA_DIR / "state"
APP_VERSION = __version__

DEBUG = env.bool("DEBUG", default=False)


def _secret_key() -> str:
    key: str = env.str("SECRET_KEY", default="")
    if key:
        return key
    key_file = DATA_DIR / "secret_key"
    if key_file.is_file():
        key = key_file.read_text().strip()
    if key:
        return key
    if DEBUG:
        return "insecure-key-for-development-only"
    raise ImproperlyConfigured(
        f"SECRET_KEY is not set and {key_file} holds none. Set SECRET_KEY in the environment, or start with ./run, which makes one."
    )


SECRET_KEY = _secret_key()
SECRET_KEY_FALLBACKS = env.list("SECRET_KEY_FALLBACKS", default=[])

# The address that people type, e.g. https://time.example.org. With https everything below insists on it; without, plain
# http on this machine works: a browser never sends a secure cookie over http, so nobody could log in.
SITE_URL = env.str("SITE_URL", default="").rstrip("/")
_site = urlsplit(SITE_URL)
if SITE_URL and (_site.scheme not in ("http", "https") or not _site.hostname or _site.path):
    raise ImproperlyConfigured("SITE_URL must be a scheme and a host and nothing more, e.g. https://time.example.org.")
IS_HTTPS = _site.scheme == "https"

ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]", *filter(None, [_site.hostname])])
if not DEBUG and (not ALLOWED_HOSTS or "*" in ALLOWED_HOSTS):
    raise ImproperlyConfigured(
        "ALLOWED_HOSTS is empty or holds '*' while DEBUG is off. "
        "Set it to the names under which the site is reached, e.g. ALLOWED_HOSTS=time.example.org."
    )
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[SITE_URL] if SITE_URL else [])

# gunicorn believes X-Forwarded-Proto from FORWARDED_ALLOW_IPS (this machine by default) and tells Django by the request's
# scheme. SECURE_PROXY_SSL_HEADER stays unset: it would believe anybody.
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = IS_HTTPS
# Probes ask from beside the site, over plain http: a redirect would tell them nothing.
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^backups/(health\.json|metrics)$"]
SECURE_HSTS_SECONDS = _number("SECURE_HSTS_SECONDS", 86400 if IS_HTTPS else 0)
X_FRAME_OPTIONS = "DENY"
SILENCED_SYSTEM_CHECKS = [
    "security.W005",  # HSTS for subdomains and the browsers' preload list: they bind the owner's whole domain, which is
    "security.W021",  # not ours to decide.
]

INSTALLED_APPS = [
    "timetracker.accounts",
    "timetracker.clients",
    "timetracker.tracking",
    "timetracker.billing",
    "timetracker.siteconf",
    "timetracker.imports",
    "timetracker.exports",
    "portal",
    "backups",
    "timetracker.admin_site.SiteAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_htmx",
    "axes",
]

MIDDLEWARE = [
    "backups.middleware.MaintenanceMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "timetracker.content_security.ContentSecurityPolicyMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "axes.middleware.AxesMiddleware",
]

ROOT_URLCONF = "timetracker.urls"
WSGI_APPLICATION = "timetracker.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "backups.context_processors.gate",
                "portal.context_processors.current_client",
                "timetracker.staff_frame.staff_frame",
            ],
        },
    },
]

_database_url = env.str("DATABASE_URL", default="")
_default: dict[str, Any] = (
    database_settings(_database_url) if _database_url else {"ENGINE": "django.db.backends.sqlite3", "NAME": str(DATA_DIR / "db.sqlite3")}
)
DATABASES = {"default": _default}
_default["CONN_HEALTH_CHECKS"] = True
# Seconds; None: for ever.
_default["CONN_MAX_AGE"] = None if env.str("CONN_MAX_AGE", default="").lower() == "none" else _number("CONN_MAX_AGE", 60)
if _default["ENGINE"].endswith("sqlite3"):
    _default["NAME"] = str(BASE_DIR / _default["NAME"])
    _default["OPTIONS"] = {
        # A transaction that writes takes the lock at its start and waits there, instead of failing in its middle.
        "transaction_mode": "IMMEDIATE",
        # Seconds to wait for that lock.
        "timeout": 30,
        # WAL: readers never wait for a writer, not even while a restore commits. FULL: a commit survives a power cut.
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL",
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = env.str("REDIS_URL", default="")
# What every key there begins with, so that sites which share a server do not share a gate. All processes of one site have its
# secret key and the name of its database in common, wherever they run; of a file not the folder, which a container calls differently.
_identity = hashlib.sha256(f"redis {SECRET_KEY} {Path(_default['NAME']).name}".encode()).hexdigest()
REDIS_PREFIX = env.str("REDIS_PREFIX", default="") or f"timetracker-{_identity[:12]}"
CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
    # The gate's own cache: outside the database, seen by every process. Several hosts need REDIS_URL.
    "backups": (
        {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": REDIS_URL,
            "KEY_PREFIX": f"{REDIS_PREFIX}:backups",
            # Seconds. Without them a server that is silent instead of gone would hold up every page.
            "OPTIONS": {"socket_timeout": 2, "socket_connect_timeout": 2},
        }
        if REDIS_URL
        else {
            "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
            "LOCATION": DATA_DIR / "gate",
            # From so many keys on Django removes a third of them at random, and with them the gate.
            "OPTIONS": {"MAX_ENTRIES": 1_000_000},
        }
    ),
}

# What the throttle of logins counts: apart from the gate, since anybody can fill it. A flood of it drops counts at random.
CACHES["logins"] = {**CACHES["backups"], "KEY_PREFIX": f"{REDIS_PREFIX}:logins"}
if not REDIS_URL:
    CACHES["logins"] |= {"LOCATION": DATA_DIR / "logins", "OPTIONS": {"MAX_ENTRIES": 10_000}}

# How far long work has come (timetracker/progress.py), apart from the gate as well.
CACHES["progress"] = {**CACHES["backups"], "KEY_PREFIX": f"{REDIS_PREFIX}:progress"}
if not REDIS_URL:
    CACHES["progress"] |= {"LOCATION": DATA_DIR / "progress", "OPTIONS": {"MAX_ENTRIES": 10_000}}

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
LOGIN_URL = "staff:login"
LOGIN_REDIRECT_URL = "staff:today"
# Seconds that a link to a new password and an invitation are good for.
PASSWORD_RESET_TIMEOUT = 86400
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]

# Ten wrong passwords for one name from one address, and it waits for a quarter of an hour. Nothing of it is in the
# database: a restore neither locks people out nor lets them in, and the tables of django-axes are not made.
AXES_HANDLER = "timetracker.accounts.throttle.ThrottleHandler"
AXES_CACHE = "logins"
AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_CLIENT_IP_CALLABLE = "timetracker.accounts.throttle.client_address"
AXES_LOCKOUT_CALLABLE = "timetracker.accounts.throttle.locked_out"
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False
# A name may be a password, typed into the wrong field. Addresses are logged.
AXES_SENSITIVE_PARAMETERS = ["username"]
MIGRATION_MODULES = {"axes": None}
# Proxies whose X-Forwarded-For is believed; gunicorn reads the same variable.
TRUSTED_PROXIES = env.list("FORWARDED_ALLOW_IPS", default=["127.0.0.1", "::1"])

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = DATA_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
MEDIA_URL = "media/"
MEDIA_ROOT = DATA_DIR / "media"

STORAGES: dict[str, dict[str, Any]] = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
    "backups": {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {
            "location": DATA_DIR / "backups",
            "file_permissions_mode": 0o600,
            "directory_permissions_mode": 0o700,
        },
    },
}

# Archives in an S3 bucket instead; the credentials come from where boto3 looks (AWS_ACCESS_KEY_ID, a role, ~/.aws).
if _bucket := env.str("BACKUPS_S3_BUCKET", default=""):
    STORAGES["backups"] = {
        "BACKEND": "storages.backends.s3.S3Storage",
        "OPTIONS": {
            "bucket_name": _bucket,
            "location": env.str("BACKUPS_S3_PREFIX", default=""),
            "endpoint_url": env.str("BACKUPS_S3_ENDPOINT_URL", default="") or None,
            "region_name": env.str("BACKUPS_S3_REGION", default="") or None,
            "default_acl": None,
            # Of downloads straight from the bucket, too: by itself boto3 signs their links in the old way, which new buckets refuse.
            "signature_version": "s3v4",
        },
    }

# Mail: failures of backups to the ADMINS, invitations and new passwords to people.
globals().update(mail_settings(env.str("EMAIL_URL", default="") or ("consolemail://" if DEBUG else "smtp://localhost:25")))
EMAIL_SUBJECT_PREFIX = "[TimeTracker] "
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default="") or f"timetracker@{_site.hostname or 'localhost'}"
SERVER_EMAIL = env.str("SERVER_EMAIL", default="") or DEFAULT_FROM_EMAIL
ADMINS = [("", address) for address in env.list("ADMINS", default=[])]
if unfit := [address for _, address in ADMINS if "@" not in address]:
    raise ImproperlyConfigured(f"ADMINS must be mail addresses with commas between them, such as ann@example.org. {unfit[0]!r} is none.")

LOG_LEVEL = env.str("LOG_LEVEL", default="INFO").upper()
if LOG_LEVEL not in ("DEBUG", "INFO", "WARNING", "ERROR"):
    raise ImproperlyConfigured(f"LOG_LEVEL must be DEBUG, INFO, WARNING or ERROR. It is {LOG_LEVEL!r}.")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "filters": {"refusals": {"()": "timetracker.log_lines.RefusalInOneLine"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
    # Django's own set-up is silent with DEBUG off but for mails to nobody.
    "loggers": {
        "django": {"handlers": [], "propagate": True},
        # Refused is no fault of the code: a line is enough.
        "django.request": {"filters": ["refusals"]},
        # A line for each message, that is one a minute for the tick alone; what a task does, it says itself.
        "celery": {"level": "WARNING" if LOG_LEVEL == "INFO" else LOG_LEVEL},
    },
}

BACKUPS_STATE_DIR = STATE_DIR
BACKUPS_SETTINGS_SNAPSHOT = "timetracker.siteconf.snapshot.settings_snapshot"
BACKUPS_SITE_NAME = "timetracker.siteconf.snapshot.site_name"
BACKUPS_CLIENT_ADDRESS = "timetracker.accounts.throttle.client_address"
BACKUPS_APP_VERSION = APP_VERSION
# Here an administrator puts archives that are too large to upload.
BACKUPS_IMPORT_DIR = str(DATA_DIR / "import")
# Every other BACKUPS_ setting with a plain value can come from the environment; its default stands in backups/conf.py.
_READERS = {int: _number, str: env.str, list: env.list, bool: env.bool}
globals().update(
    {
        name: _READERS[type(value)](name, value)
        for name, value in SETTING_DEFAULTS.items()
        if name in env.ENVIRON and type(value) in _READERS
    }
)
