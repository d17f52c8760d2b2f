# One image for web, worker, beat and every command; compose.yaml says which does what.

ARG PYTHON_VERSION=3.11
ARG DEBIAN=bookworm

FROM python:${PYTHON_VERSION}-slim-${DEBIAN} AS packages
COPY requirements/base.txt /tmp/base.txt
# Wheels alone, each with its hash: nothing is compiled, so nothing to compile with is needed.
RUN python -m venv /opt/venv \
    && /opt/venv/bin/python -m pip install --no-cache-dir --disable-pip-version-check --only-binary :all: --require-hashes -r /tmp/base.txt


FROM python:${PYTHON_VERSION}-slim-${DEBIAN}
ARG DEBIAN
# The major of the PostgreSQL server: pg_dump and pg_restore must be its own.
ARG PG_MAJOR=17
# Debian's own package where it has that major, else the one of PostgreSQL's repository, whose key is in postgresql-common.
# hadolint ignore=DL3008
RUN set -eux; \
    apt-get update; \
    if ! apt-cache show "postgresql-client-${PG_MAJOR}" >/dev/null 2>&1; then \
        apt-get install --yes --no-install-recommends ca-certificates postgresql-common; \
        key=/usr/share/postgresql-common/pgdg/apt.postgresql.org.asc; \
        test -f "$key"; \
        echo "deb [signed-by=$key] https://apt.postgresql.org/pub/repos/apt ${DEBIAN}-pgdg main" >/etc/apt/sources.list.d/pgdg.list; \
        apt-get update; \
    fi; \
    apt-get install --yes --no-install-recommends "postgresql-client-${PG_MAJOR}"; \
    rm -rf /var/lib/apt/lists/*

# A volume that is mounted here for the first time takes over its owner and mode.
RUN set -eux; \
    groupadd --gid 10001 app; \
    useradd --uid 10001 --gid app --home-dir /data --no-create-home --shell /usr/sbin/nologin app; \
    install --directory --owner app --group app --mode 0700 /data /data/backups

WORKDIR /app
COPY --from=packages /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    DJANGO_SETTINGS_MODULE=timetracker.settings \
    DATA_DIR=/data \
    MANAGE_COMMAND="docker compose run --rm manage" \
    BACKUPS_HOLD_WAITERS=3
COPY manage.py ./
COPY docker/healthcheck.py docker/
COPY static static
COPY templates templates
COPY backups backups
COPY portal portal
COPY timetracker timetracker
RUN python -m compileall -q .

USER 10001:10001
VOLUME ["/data"]
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s CMD ["python", "docker/healthcheck.py"]
CMD ["gunicorn", "timetracker.wsgi:application", "--bind", "0.0.0.0:8000", "--worker-class", "gthread", "--workers", "3", "--threads", "4", \
    "--graceful-timeout", "30", "--worker-tmp-dir", "/dev/shm", "--no-control-socket", "--log-level", "warning"]
