"""What the web server loads. Refuses to serve when the database role could rewrite the log, or without its key."""

from __future__ import annotations

import gc
import os

from django.core.wsgi import get_wsgi_application

from config.lifeline import die_with_parent

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
die_with_parent()

application = get_wsgi_application()

from audit.checks import check_posture  # noqa: E402  (needs the app registry)
from audit.posture import refuse_if_owner  # noqa: E402
from governance.keys import require_key  # noqa: E402

refuse_if_owner()
check_posture()
require_key()

# What is loaded by now lives as long as the process, and a gate check allocates thousands of short-lived objects:
# without this the collector walks the whole application some thirty times for each check.
gc.collect()
gc.freeze()
gc.set_threshold(20_000, 20, 20)
