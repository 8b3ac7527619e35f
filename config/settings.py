"""All settings of Countersign, read from the environment by ``config.environment``."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.utils.translation import gettext_lazy as _

from config import environment as env
from config import tracking
from config.api.schema import SPECTACULAR_SETTINGS as SPECTACULAR_SETTINGS
from config.logs import logging_config

BASE_DIR = env.ROOT
STATE_DIR = env.STATE

# ── secrets and addresses ────────────────────────────────────────────────────────────────────────────────────────────
SECRET_KEY = env.text("SECRET_KEY", hint="Set at least 50 random characters, or start with `python3 manage.py up`.")
#: Secrets that SECRET_KEY replaced, newest first: sessions and authenticator apps made under them hold for as long.
SECRET_KEY_FALLBACKS = env.words("SECRET_KEY_FALLBACKS")
PUBLIC_URL = env.public_url()
ALLOWED_HOSTS = env.words("ALLOWED_HOSTS", urlsplit(PUBLIC_URL).hostname or "")
DEBUG = False
SECURE = PUBLIC_URL.startswith("https://")
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]
CSRF_FAILURE_VIEW = "config.pages.errors.csrf_failure"

# ── apps ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
INSTALLED_APPS = [
    "config",
    "governance",
    "explain",
    "registry",
    "audit",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "django_filters",
    "django_htmx",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "csp",
]
MIDDLEWARE = [
    "config.middleware.RequestIdMiddleware",
    "config.metrics.MetricsMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "config.middleware.RefusalMiddleware",
    "governance.api.waiting.WaitMiddleware",
    "explain.api.waiting.ExplainedMiddleware",
    "governance.api.idempotency.IdempotencyMiddleware",
]
ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
FILE_UPLOAD_HANDLERS = [
    "audit.exports.dropped.BoundedUpload",
    "django.core.files.uploadhandler.MemoryFileUploadHandler",
    "django.core.files.uploadhandler.TemporaryFileUploadHandler",
]

# ── storage and work ─────────────────────────────────────────────────────────────────────────────────────────────────
DATABASES: dict[str, dict[str, Any]] = {"default": env.database("DATABASE_URL")}
SEQUENCER_DATABASE_URL = env.text("SEQUENCER_DATABASE_URL", "")
#: The keys of private values, best on another server; and the only role that may erase from the log.
SUBJECT_KEYS_DATABASE_URL = env.text("SUBJECT_KEYS_DATABASE_URL", "")
ERASER_DATABASE_URL = env.text("ERASER_DATABASE_URL", "")
CELERY_BROKER_URL = env.text("CELERY_BROKER_URL", "", hint="Set it to redis://host:port/0.")
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_PUBLISH_RETRY = False
# A web process that announces a job does not wait for a broker that is away: beat announces it again.
CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, float] = {
    "visibility_timeout": 120,
    "socket_connect_timeout": 1,
    "socket_timeout": 5,
    "max_retries": 1,
    "interval_start": 0.1,
}
CELERY_TIMEZONE = "UTC"
#: What nobody has to start. The import is frequent because an alias moved by hand must not stay unseen for long.
CELERY_BEAT_SCHEDULE = {
    "redeliver waiting explanations": {"task": "explain.tasks.redeliver_waiting", "schedule": 10.0},
    "tell who waits for explanations": {"task": "explain.tasks.deliver_notices", "schedule": 15.0},
    "redeliver waiting analyses": {"task": "explain.tasks.redeliver_analyses", "schedule": 30.0},
    "expire promotions": {"task": "governance.expire_promotions", "schedule": 60.0},
    "follow up safeguards that ended": {"task": "governance.follow_up_safeguards", "schedule": 30.0},
    "follow up emergencies": {"task": "governance.follow_up_emergencies", "schedule": 30.0},
    "lapse permits that were used": {"task": "governance.lapse_claims", "schedule": 30.0},
    "settle scheduled policies": {"task": "governance.settle_packs", "schedule": 10.0},
    "decide again what serves": {"task": "governance.recheck_what_serves", "schedule": 600.0},
    "import from MLflow": {"task": "registry.tasks.import_from_mlflow", "schedule": 120.0},
    "tell MLflow what waits": {"task": "registry.tasks.mirror_to_mlflow", "schedule": 30.0},
    "apply OpenLineage's events": {"task": "registry.tasks.apply_openlineage", "schedule": 10.0},
    "reconcile": {"task": "registry.tasks.reconcile", "schedule": 120.0},
    "verify the log": {"task": "audit.self_check", "schedule": 900.0},
    "begin the year's log": {"task": "audit.close_if_due", "schedule": 300.0},
    "finish erasures": {"task": "governance.finish_erasures", "schedule": 60.0},
    "redeliver waiting exports": {"task": "audit.redeliver_exports", "schedule": 30.0},
    "redeliver waiting back-tests": {"task": "governance.redeliver_backtests", "schedule": 30.0},
    "check explanations against their receipts": {"task": "governance.check_explanations", "schedule": 86_400.0},
    "forget kept answers": {"task": "governance.forget_answers", "schedule": 86_400.0},
}
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}

# ── the log ──────────────────────────────────────────────────────────────────────────────────────────────────────────
LOG_ORIGIN = env.text("LOG_ORIGIN", "localhost/countersign")
SIGNER_ADDRESS = env.text("SIGNER_ADDRESS", "127.0.0.1:8301")
SIGNER_SECRET_FILE = Path(env.text("SIGNER_SECRET_FILE", str(STATE_DIR / "secrets" / "signer")))
#: Shared with the worker that writes exports: it can have their manifests signed, and no checkpoint.
SIGNER_EXPORT_SECRET_FILE = Path(env.text("SIGNER_EXPORT_SECRET_FILE", f"{SIGNER_SECRET_FILE}-exports"))
SIGNER_STATE_DIR = Path(env.text("SIGNER_STATE_DIR", str(STATE_DIR / "signer")))
#: ``year``: a log of its own for each year, with the year in its name.
LOG_SHARDS = env.choice("LOG_SHARDS", "off", "year")
#: Years that a closed log's entries stay in the live tables before they may be detached.
#: How many requests a web process keeps waiting for a promotion (``wait``); it must leave threads for the others.
GATE_WAITERS = env.number("GATE_WAITERS", 2)
#: The same for requests that wait for the explanation of one row, at most ten seconds.
EXPLANATION_WAITERS = env.number("EXPLANATION_WAITERS", 2)
LOG_RETENTION_YEARS = env.number("LOG_RETENTION_YEARS", 10)
#: Days that old and new keys sign side by side after a rotation.
KEY_OVERLAP_DAYS = env.number("KEY_OVERLAP_DAYS", 30)
#: A folder, best on another machine: each entry is written there, on disk, before its checkpoint is signed.
ENTRY_COPIES = env.text("ENTRY_COPIES", "")
#: Gives the address of the database's administrator to the commands that back up and mend; no server process asks.
ADMIN_DATABASE_URL = env.admin_database_url

# ── attestations and permits ─────────────────────────────────────────────────────────────────────────────────────────
#: The Ed25519 key that signs them (PEM or base64 of its 32 bytes), or the file, 0600, that holds it.
ATTESTATION_KEY = env.text("ATTESTATION_KEY", "")
ATTESTATION_KEY_FILE = Path(env.text("ATTESTATION_KEY_FILE", str(STATE_DIR / "secrets" / "attestation")))

# ── exports of the log ───────────────────────────────────────────────────────────────────────────────────────────────
EXPORT_DIR = Path(env.text("EXPORT_DIR", str(STATE_DIR / "exports")))
#: Bytes of a bundle that somebody may drop on the Verify page.
EXPORT_UPLOAD_LIMIT = env.number("EXPORT_UPLOAD_LIMIT", 64 * 1024**2)

# ── outside the log: witnesses, timestamps, copies of checkpoints, alerts ────────────────────────────────────────────
WITNESS_POLICY = env.text("WITNESS_POLICY", "")
#: Seconds after which the newest cosigned checkpoint no longer shows that the log is alive; witnesses sign hourly.
WITNESS_MAX_AGE = env.number("WITNESS_MAX_AGE", 10_800)
TIMESTAMP_URL = env.text("TIMESTAMP_URL", "")
TIMESTAMP_ROOTS = env.text("TIMESTAMP_ROOTS", "")
CHECKPOINT_FOLDER = env.text("CHECKPOINT_FOLDER", "")
CHECKPOINT_GIT = env.text("CHECKPOINT_GIT", "")
CHECKPOINT_WEBHOOK = env.text("CHECKPOINT_WEBHOOK", "")
ALERT_WEBHOOK = env.text("ALERT_WEBHOOK", "")
WEBHOOK_SECRET = env.text("WEBHOOK_SECRET", "")
ALERT_EMAIL = env.words("ALERT_EMAIL")
EMAIL_HOST = env.text("EMAIL_HOST", "localhost")
EMAIL_PORT = env.number("EMAIL_PORT", 25)
EMAIL_HOST_USER = env.text("EMAIL_HOST_USER", "")
EMAIL_HOST_PASSWORD = env.text("EMAIL_HOST_PASSWORD", "")
EMAIL_USE_TLS = env.flag("EMAIL_USE_TLS", False)
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = env.text("EMAIL_FROM", "countersign@localhost")

# ── models ───────────────────────────────────────────────────────────────────────────────────────────────────────────
MLFLOW_TRACKING_URI = env.text("MLFLOW_TRACKING_URI", "")
MLFLOW_TRACKING_TOKEN = env.text("MLFLOW_TRACKING_TOKEN", "")
MLFLOW_TRACKING_USERNAME = env.text("MLFLOW_TRACKING_USERNAME", "")
MLFLOW_TRACKING_PASSWORD = env.text("MLFLOW_TRACKING_PASSWORD", "")
#: ``mirror``: it is told of deployments and aliases that were recorded here. It is never asked what may happen.
MLFLOW_WRITE_BACK = env.choice("MLFLOW_WRITE_BACK", *tracking.WRITE_BACK)
#: Tracking servers beside it.
MLFLOW_SERVERS = tracking.servers(env.text(tracking.VARIABLE, ""))
#: What MLflow signs its webhooks with; without it none is accepted.
MLFLOW_WEBHOOK_SECRET = env.text("MLFLOW_WEBHOOK_SECRET", "")
#: Hosts that serving endpoints may name; explanation jobs send rows nowhere else.
ALLOWED_ENDPOINT_HOSTS = env.words("ALLOWED_ENDPOINT_HOSTS", "127.0.0.1,localhost")
#: Name -> header or headers, as JSON of mode 0600; beside it, ENDPOINT_CREDENTIAL_<NAME> of the environment is read.
ENDPOINT_CREDENTIALS_FILE = env.text("ENDPOINT_CREDENTIALS_FILE", "")
#: Hosts that may be told that an explanation ended; signed with WEBHOOK_SECRET.
EXPLANATION_WEBHOOK_HOSTS = env.words("EXPLANATION_WEBHOOK_HOSTS", "")
#: Where the workers that explain models are, as ``provider:region``; environments that do not name it are refused.
EXPLANATION_WORKER_REGION = env.text("EXPLANATION_WORKER_REGION", "")
#: Folders from which rows of registered data sets may be drawn for an explanation.
EXPLANATION_DATA_FOLDERS = env.words("EXPLANATION_DATA_FOLDERS", "")

# ── people ───────────────────────────────────────────────────────────────────────────────────────────────────────────
AUTH_USER_MODEL = "governance.User"
AUTHENTICATION_BACKENDS = ["governance.access.RulesBackend"]
LOGIN_URL = "governance:login"
LOGIN_REDIRECT_URL = "governance:overview"
LOGOUT_REDIRECT_URL = "governance:login"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
SESSION_COOKIE_AGE = 12 * 3600
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = SECURE
CSRF_COOKIE_SECURE = SECURE

# ── headers ──────────────────────────────────────────────────────────────────────────────────────────────────────────
SECURE_SSL_REDIRECT = SECURE
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if env.flag("BEHIND_PROXY", False) else None
SECURE_HSTS_SECONDS = 31_536_000 if SECURE else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE
SECURE_HSTS_PRELOAD = SECURE
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "object-src": ["'none'"],
        "base-uri": ["'none'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
    }
}

# ── pages ────────────────────────────────────────────────────────────────────────────────────────────────────────────
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "builtins": ["config.ui", "django.templatetags.i18n", "django.templatetags.static"],
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "config.context.shell",
            ],
        },
    }
]
STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static", ("plotly", str(files("plotly") / "package_data"))]
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = False
LANGUAGE_CODE = "en"
LANGUAGES = [("en", _("English")), ("ar", _("Arabic"))]
LOCALE_PATHS = [BASE_DIR / "locale"]
USE_I18N = True
USE_TZ = True
TIME_ZONE = "UTC"

# ── API ──────────────────────────────────────────────────────────────────────────────────────────────────────────────
REST_FRAMEWORK = {
    "EXCEPTION_HANDLER": "config.api.errors.handler",
    "DEFAULT_PAGINATION_CLASS": "config.api.pagination.Cursor",
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "governance.api.authentication.TokenAuthentication",
        "governance.api.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["governance.api.authentication.ActionPermission"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["config.api.parsers.TextJSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
    "PAGE_SIZE": 50,
}
#: A pickled model runs code when it is opened. Off: such artifacts are refused, and only the endpoint is asked.
ALLOW_PICKLED_ARTIFACTS = env.flag("ALLOW_PICKLED_ARTIFACTS", False)
LOGGING = logging_config(env.flag("VERBOSE", False))
