"""Settings. All of them are read from the environment, or from `.env`.

Without DATABASE_URL this is a trial: a private PostgreSQL, DEBUG and an insecure SECRET_KEY. With
it there are no fallbacks: the process does not start if production lacks a setting.
"""

from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import django_stubs_ext
import environ
from csp.constants import NONE, SELF, UNSAFE_EVAL, UNSAFE_INLINE
from django.core.exceptions import ImproperlyConfigured

from localservers.broker import LocalBroker
from rewards_site.environment import (
    env_bool,
    env_choice,
    env_database,
    env_email,
    env_int,
    env_list,
    env_log_level,
    env_required,
    env_text,
    env_time_zone,
    env_url,
)
from rewards_site.theme import UNFOLD as UNFOLD

django_stubs_ext.monkeypatch()

BASE_DIR = Path(__file__).resolve().parent.parent

environ.Env.read_env(BASE_DIR / ".env")


# --- Trial or production ----------------------------------------------------------------------

_database = env_database("DATABASE_URL")

DEBUG = env_bool("DEBUG", default=not _database)

ALLOWED_HOSTS = env_list("ALLOWED_HOSTS")

if DEBUG:
    SECRET_KEY = env_text("SECRET_KEY") or "trial-only-" + "insecure-key-" * 4
else:
    SECRET_KEY = env_required(
        "SECRET_KEY", reason="it signs sessions; use 50 or more random characters"
    )
    if (
        len(SECRET_KEY) < 50
        or len(set(SECRET_KEY)) < 5
        or SECRET_KEY.startswith("django-insecure-")
    ):
        raise ImproperlyConfigured("SECRET_KEY is too weak: use 50 or more random characters.")
    env_required("ALLOWED_HOSTS", reason="name the hosts served, separated by commas")
    if "*" in ALLOWED_HOSTS:
        raise ImproperlyConfigured("ALLOWED_HOSTS='*' serves any host name; name the hosts.")
    env_required("DATABASE_URL", reason="production needs its own PostgreSQL server")


# --- Database ---------------------------------------------------------------------------------

LOCALDB_DIR = env_text("LOCALDB_DIR", default=str(BASE_DIR / ".localdb"))
"""The folder of a trial's private servers."""

if _database:
    _database |= {
        "ENGINE": "django.db.backends.postgresql",
        "CONN_MAX_AGE": env_int("DATABASE_CONN_MAX_AGE", default=60, min_value=0, max_value=86_400),
        "CONN_HEALTH_CHECKS": True,
    }
else:
    _database = {
        "ENGINE": "localservers.django_backend",
        "NAME": "rewards",
        "LOCALDB": {
            "folder": LOCALDB_DIR,
            "name": "rewards",
            "durable": env_bool("LOCALDB_DURABLE", default=True),
        },
    }

_lock_timeout = env_int("DATABASE_LOCK_TIMEOUT", default=10, min_value=1, max_value=3_600)
_session = {
    # A transaction that waits longer for a lock is rolled back and retried.
    "lock_timeout": f"{_lock_timeout}s",
    # TCP keepalives: notice within about a minute that the other machine has vanished, instead of
    # holding its locks for hours.
    "tcp_keepalives_idle": 30,
    "tcp_keepalives_interval": 10,
    "tcp_keepalives_count": 3,
    # Independent of the defaults of the server, the database and the role.
    "datestyle": "ISO",
    "default_transaction_isolation": r"read\ committed",
}
_options = _database.setdefault("OPTIONS", {})
_options["options"] = " ".join(
    [*(f"-c {name}={value}" for name, value in _session.items()), _options.get("options", "")]
).strip()
_database["OPTIONS"] = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
} | _options

# Requests of the API prepare their statements explicitly; all others stay unprepared. An old
# connection pooler gives a statement to another session than the one that prepared it.
_prepare = env_bool("DATABASE_PREPARE", default=True)
_database["OPTIONS"] |= {"prepare_threshold": 2**31 if _prepare else None}

DATABASES = {"default": _database}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"


# --- Rewards ----------------------------------------------------------------------------------

REWARDS_TIME_ZONE = env_time_zone("REWARDS_TIME_ZONE", default="UTC")
"""The zone whose calendar dates are the business days."""

REWARDS_MIN_CALL_SECONDS = env_int(
    "REWARDS_MIN_CALL_SECONDS", default=1, min_value=0, max_value=86_400
)
"""A call counts if it lasted at least this long. Fixed once there is activity."""

REWARDS_GRACE_DAYS = env_int("REWARDS_GRACE_DAYS", default=3, min_value=0, max_value=90)
"""Late activity of this many closed days is awarded automatically, that of older days by hand."""

REWARDS_OVERDUE_MINUTES = env_int(
    "REWARDS_OVERDUE_MINUTES", default=60, min_value=1, max_value=10_080
)
"""A period that is not awarded this long after its end is overdue."""

REWARDS_LIVE = env_bool("REWARDS_LIVE", default=True)
"""Whether an event pays at once when it earns an award. If not, the run of the day pays."""

REWARDS_BATCH_SIZE = env_int("REWARDS_BATCH_SIZE", default=20_000, min_value=1, max_value=1_000_000)
"""Hosts evaluated and written in one transaction."""


# --- Serving ----------------------------------------------------------------------------------

REWARDS_SERVE = env_choice("REWARDS_SERVE", choices=("all", "admin", "api"), default="all")
"""What a web process serves: the admin, the HTTP API, or both."""


# --- Celery -----------------------------------------------------------------------------------

CELERY_BROKER_URL = env_url("CELERY_BROKER_URL", example="redis://user:password@host:port/number")

BROKER_IS_PRIVATE = not CELERY_BROKER_URL
"""Whether the broker is the one that `manage.py dev` runs."""

if BROKER_IS_PRIVATE:
    CELERY_BROKER_URL = LocalBroker(Path(LOCALDB_DIR, "broker")).url
elif (_scheme := urlsplit(CELERY_BROKER_URL).scheme) not in {"redis", "rediss", "redis+socket"}:
    raise ImproperlyConfigured(
        f"CELERY_BROKER_URL names the broker {_scheme!a:.80}; use redis:// or rediss://, "
        "for Valkey too."
    )

CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None  # no limit
CELERY_BROKER_TRANSPORT_OPTIONS = {
    # If a worker dies, its message is delivered again after this many seconds. This must be longer
    # than any task, which would run twice otherwise. The next tick may continue the work earlier.
    "visibility_timeout": 360,
    "unacked_restore_interval": 10,
    "unacked_restore_throttle": 1,
    # Notice a broker that has vanished.
    "socket_connect_timeout": 5,
    "socket_timeout": 30,
    "socket_keepalive": True,
}

CELERY_ACCEPT_CONTENT = ["json"]  # never pickle: a message could run code
CELERY_TIMEZONE = "UTC"  # business days follow REWARDS_TIME_ZONE, not beat
CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"

# No result backend: the run journal holds the results.
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_DEFAULT_QUEUE = "rewards"
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_REDIRECT_STDOUTS = False  # otherwise tracebacks are logged one character per line
CELERY_TASK_SOFT_TIME_LIMIT = 240
CELERY_TASK_TIME_LIMIT = 300


# --- Applications -----------------------------------------------------------------------------

INSTALLED_APPS = [
    "unfold",  # before the admin, whose templates it replaces
    "unfold.contrib.filters",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "axes",
    "csp",
    "ninja",
    "django_celery_beat",
    "localservers",
    "rewards_site",
    "rewards",
]

# Serves the files of collectstatic. In a trial, runserver finds the files itself.
_files = [] if DEBUG else ["whitenoise.middleware.WhiteNoiseMiddleware"]

if REWARDS_SERVE == "api":
    # Neither sessions nor cookies, so nothing to forge.
    MIDDLEWARE = [
        "rewards.api.health.health_middleware",
        "rewards.api.problems.problems_middleware",
        "django.middleware.security.SecurityMiddleware",
        *_files,
        "django.middleware.common.CommonMiddleware",
    ]
    SILENCED_SYSTEM_CHECKS = [
        # The admin is installed and not served. What it needs is not there.
        "admin.E408",
        "admin.E409",
        "admin.E410",
        "axes.W002",
        "security.W002",
        "security.W003",
    ]
else:
    MIDDLEWARE = [
        "rewards.api.health.health_middleware",  # first: it needs no host name and no TLS
        "csp.middleware.CSPMiddleware",  # so that every response carries the policy
        *(["rewards.api.problems.problems_middleware"] if REWARDS_SERVE == "all" else []),
        "django.middleware.security.SecurityMiddleware",
        *_files,
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "rewards_site.sessions.SessionLimits",
        "django.contrib.messages.middleware.MessageMiddleware",
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
        "axes.middleware.AxesMiddleware",  # last: it replaces the response to a sign-in
    ]

ROOT_URLCONF = "rewards_site.urls"
WSGI_APPLICATION = "rewards_site.wsgi.application"
ASGI_APPLICATION = "rewards_site.asgi.application"

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
            ]
        },
    }
]


# --- People -----------------------------------------------------------------------------------

AUTH_USER_MODEL = "rewards.User"
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",  # first: it can only refuse
    "django.contrib.auth.backends.ModelBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]


# --- Language and time ------------------------------------------------------------------------

LANGUAGE_CODE = "en-us"
USE_I18N = False
USE_TZ = True
TIME_ZONE = "UTC"


# --- Files ------------------------------------------------------------------------------------

STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}


# --- Security ---------------------------------------------------------------------------------

SESSION_COOKIE_AGE = 30 * 60  # of an idle session; see rewards_site/sessions.py
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_HTTPONLY = True
CSRF_COOKIE_SAMESITE = "Lax"
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"

if not DEBUG:
    SECURE_SSL_REDIRECT = env_bool("SECURE_SSL_REDIRECT", default=True)
    SECURE_HSTS_SECONDS = env_int(
        "SECURE_HSTS_SECONDS", default=31_536_000, min_value=0, max_value=63_072_000
    )
    SECURE_HSTS_INCLUDE_SUBDOMAINS = env_bool("SECURE_HSTS_INCLUDE_SUBDOMAINS", default=True)
    SECURE_HSTS_PRELOAD = env_bool("SECURE_HSTS_PRELOAD", default=True)
    # Browsers accept a cookie with this prefix only over TLS and for this host alone.
    SESSION_COOKIE_NAME = "__Host-session"
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_NAME = "__Host-csrf"
    CSRF_COOKIE_SECURE = True
    if env_bool("BEHIND_TLS_PROXY", default=False):
        SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        # The theme uses Alpine, which compiles the expressions in its attributes. There are no
        # inline scripts.
        "script-src": [SELF, UNSAFE_EVAL],
        # The theme sets colours in a style element, and Alpine, htmx and Chart.js set sizes in
        # style attributes. None of them supports a nonce.
        "style-src": [SELF, UNSAFE_INLINE],
        "img-src": [SELF],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
        "object-src": [NONE],
    }
}

TRUSTED_PROXIES = env_int("TRUSTED_PROXIES", default=0, min_value=0, max_value=9)
"""Number of our own proxies in front; each appends its client's address to X-Forwarded-For."""

# A few failures lock a name for one address, many lock it for all addresses.
AXES_HANDLER = "rewards_site.lockout.LockoutHandler"
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"], "username"]
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False  # or an attacker could prolong it without end
AXES_RESET_ON_SUCCESS = True
AXES_LOCKOUT_CALLABLE = "rewards_site.lockout.locked_out"
AXES_CLIENT_IP_CALLABLE = "rewards_site.lockout.client_address"
AXES_ENABLE_ADMIN = False  # `manage.py axes_reset_username NAME` unlocks
AXES_DISABLE_ACCESS_LOG = True
AXES_VERBOSE = False


# --- Mail -------------------------------------------------------------------------------------

ADMINS = [("", address) for address in env_list("ADMINS")]
"""Addresses that receive mail about failed runs."""

vars().update(env_email("EMAIL_URL", default="consolemail://" if DEBUG else "smtp://"))
EMAIL_TIMEOUT = 10  # a run must not wait for a mail server that does not respond
SERVER_EMAIL = env_text("SERVER_EMAIL", default="rewards@localhost")


# --- Logging ----------------------------------------------------------------------------------

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name} {message}", "style": "{"}},
    "handlers": {
        "stderr": {"class": "logging.StreamHandler", "formatter": "line"},
        "admins": {"class": "django.utils.log.AdminEmailHandler", "level": "ERROR"},
    },
    "loggers": {
        "rewards": {
            "handlers": ["stderr", "admins"],
            "level": env_log_level("LOG_LEVEL", default="INFO"),
            "propagate": False,
        }
    },
}
