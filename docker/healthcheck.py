"""The container's health check: asks ``/healthz`` of the web server in this container, under a name that the site answers to."""

from __future__ import annotations

import http.client
import os
import sys
from urllib.parse import urlsplit

PORT = 8000
SECONDS = 4


def own_host() -> str:
    """The first of ``ALLOWED_HOSTS``, else the host of ``SITE_URL``, else localhost, which is allowed where neither is set."""
    first = os.environ.get("ALLOWED_HOSTS", "").split(",")[0].strip().lstrip(".")
    return first or urlsplit(os.environ.get("SITE_URL", "")).hostname or "localhost"


def main(port: int = PORT) -> int:
    """0 where the server answers 200, else 1 and why."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    try:
        connection.request("GET", "/healthz", headers={"Host": own_host()})
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        print(f"The web server does not answer: {error}")
        return 1
    finally:
        connection.close()
    print(f"/healthz answers {status}")
    return 0 if status == 200 else 1


if __name__ == "__main__":
    sys.exit(main())
