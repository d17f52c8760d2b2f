#!/bin/bash
# Runs once, when the database server starts on an empty volume: a role for the site that is no superuser, and may create
# databases, so that a restore is built beside the live database and swapped in.
set -euo pipefail

psql --set ON_ERROR_STOP=1 --no-psqlrc --username "${POSTGRES_USER:-postgres}" --dbname postgres \
    --set password="$(cat "${DATABASE_PASSWORD_FILE:-/run/secrets/database_password}")" <<'SQL'
CREATE ROLE timetracker LOGIN CREATEDB PASSWORD :'password';
CREATE DATABASE timetracker OWNER timetracker;
SQL
