"""Settings, all of them read from the environment (or from `.env`).

Without DATABASE_URL this is a trial: a private PostgreSQL, DEBUG, a key of no worth. With it,
nothing is assumed: what production needs must be named, or the process does not start.
"""

from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import django_stubs_ext
import environ
from csp.constants import NONE, SELF, UNSAFE_EVAL, UNSAFE_INLINE
from django.core.exceptions import ImproperlyConfigured
from django.templatetags.static import static
from django.urls import reverse_lazy

from localservers.broker import LocalBroker

django_stubs_ext.monkeypatch()

BASE_DIR = Path(__file__).resolve().parent.parent

env = environ.Env()
env.read_env(BASE_DIR / ".env")


# --- Reading the environment ------------------------------------------------------------------


def env_bool(name: str, *, default: bool) -> bool:
    """Read a switch, refusing what is neither on nor off."""
    text = env.str(name, default=str(default)).strip().lower()
    if text in {"1", "true", "yes", "on"}:
        return True
    if text in {"0", "false", "no", "off"}:
        return False
    raise ImproperlyConfigured(f"{name}={text!a:.80} is neither true nor false.")


def env_int(name: str, *, default: int, least: int, most: int) -> int:
    """Read a whole number within its limits."""
    text = env.str(name, default=str(default)).strip()
    is_number = text.isascii() and text.isdigit() and len(text) <= 12
    if not (is_number and least <= int(text) <= most):
        raise ImproperlyConfigured(
            f"{name}={text!a:.80} is not a whole number from {least} to {most}."
        )
    return int(text)


def env_zone(name: str, *, default: str) -> str:
    """Read the name of a time zone that exists."""
    text: str = env.str(name, default=default).strip()
    try:
        ZoneInfo(text)
    except (KeyError, ValueError, OSError):
        raise ImproperlyConfigured(
            f"{name}={text!a:.80} is not a time zone; use a name such as Europe/Berlin."
        ) from None
    return text


def env_level(name: str, *, default: str) -> str:
    """Read from which level on the log is written."""
    text: str = env.str(name, default=default).strip().upper()
    levels = ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]
    if text not in levels:
        raise ImproperlyConfigured(
            f"{name}={text.lower()!a:.80} is not one of {', '.join(levels)}."
        )
    return text


def required(name: str, *, why: str) -> str:
    """Read what has no default."""
    text: str = env.str(name, default="").strip()
    if not text.strip(" ,"):
        raise ImproperlyConfigured(f"{name} is not set: {why}.")
    return text


# --- Trial or production ----------------------------------------------------------------------

DATABASE_URL = env.str("DATABASE_URL", default="").strip()

if DATABASE_URL and not DATABASE_URL.startswith(("postgres://", "postgresql://")):
    _engine = DATABASE_URL.partition("://")[0] if "://" in DATABASE_URL else ""
    raise ImproperlyConfigured(
        f"DATABASE_URL names the engine {_engine!a:.80}; only postgresql:// is supported."
    )

DEBUG = env_bool("DEBUG", default=not DATABASE_URL)

if DEBUG:
    SECRET_KEY = env.str("SECRET_KEY", default="") or "trial-only-" + "insecure-key-" * 4
    ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=[])
else:
    SECRET_KEY = required("SECRET_KEY", why="it signs sessions; use 50 or more random characters")
    if (
        len(SECRET_KEY) < 50
        or len(set(SECRET_KEY)) < 5
        or SECRET_KEY.startswith("django-insecure-")
    ):
        raise ImproperlyConfigured("SECRET_KEY is too weak: use 50 or more random characters.")
    _hosts = required("ALLOWED_HOSTS", why="name the hosts served, parted by commas")
    ALLOWED_HOSTS = [host.strip() for host in _hosts.split(",") if host.strip()]
    if "*" in ALLOWED_HOSTS:
        raise ImproperlyConfigured("ALLOWED_HOSTS='*' serves anyone's host name; name the hosts.")
    required("DATABASE_URL", why="production needs a PostgreSQL server of its own")


# --- Database ---------------------------------------------------------------------------------

LOCALDB_DIR = env.str("LOCALDB_DIR", default=str(BASE_DIR / ".localdb"))
"""Where the private servers of a trial keep what is theirs."""

if DATABASE_URL:
    # The URL holds a password, so that no message shows anything of it.
    _form = "use postgresql://user:password@host:port/name."
    try:
        _database = env.db_url("DATABASE_URL")
    except (ValueError, ImproperlyConfigured):
        raise ImproperlyConfigured(f"DATABASE_URL cannot be read; {_form}") from None
    if not _database["NAME"]:
        raise ImproperlyConfigured(f"DATABASE_URL names no database; {_form}")
    _database |= {
        "ENGINE": "django.db.backends.postgresql",
        "CONN_MAX_AGE": env_int("DATABASE_CONN_MAX_AGE", default=60, least=0, most=86_400),
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

# Who waits longer than this for a lock of someone else gives up, tries again, and then says so.
_timeout = env_int("DATABASE_LOCK_TIMEOUT", default=10, least=1, most=3_600)
# A machine that loses its power or its network does not say goodbye: without these, the other side
# would hold its locks, or wait for its answer, for hours.
_options = _database.setdefault("OPTIONS", {})
_options["options"] = (
    f"-c lock_timeout={_timeout}s -c tcp_keepalives_idle=30 -c tcp_keepalives_interval=10 "
    f"-c tcp_keepalives_count=3 {_options.get('options', '')}"
).strip()
for _name, _seconds in {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
}.items():
    _options.setdefault(_name, _seconds)

DATABASES = {"default": _database}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"


# --- Rewards ----------------------------------------------------------------------------------

REWARDS_TIME_ZONE = env_zone("REWARDS_TIME_ZONE", default="UTC")
"""The zone whose calendar dates are the business days."""

REWARDS_MIN_CALL_SECONDS = env_int("REWARDS_MIN_CALL_SECONDS", default=1, least=0, most=86_400)
"""A call counts when it lasted at least this long."""

REWARDS_GRACE_DAYS = env_int("REWARDS_GRACE_DAYS", default=3, least=0, most=90)
"""Late activity of so many closed days back is awarded by itself; of older days by hand."""

REWARDS_OVERDUE_MINUTES = env_int("REWARDS_OVERDUE_MINUTES", default=60, least=1, most=10_080)
"""A period that is not awarded so long after its end is overdue."""

REWARDS_BATCH_SIZE = env_int("REWARDS_BATCH_SIZE", default=20_000, least=1, most=1_000_000)
"""Hosts evaluated and written in one transaction."""


# --- Celery -----------------------------------------------------------------------------------

CELERY_BROKER_URL = env.str("CELERY_BROKER_URL", default="").strip()

BROKER_IS_PRIVATE = not CELERY_BROKER_URL
"""Then it is the one that `manage.py dev` runs."""

if BROKER_IS_PRIVATE:
    CELERY_BROKER_URL = LocalBroker(Path(LOCALDB_DIR, "broker")).url
elif (_scheme := urlsplit(CELERY_BROKER_URL).scheme) not in {"redis", "rediss", "redis+socket"}:
    raise ImproperlyConfigured(
        f"CELERY_BROKER_URL names the broker {_scheme!a:.80}; use redis:// or rediss://, "
        "for Valkey too."
    )

CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None  # a worker waits for its broker as long as it takes
CELERY_BROKER_TRANSPORT_OPTIONS = {
    # A message whose worker died comes back after this many seconds, found by a sweep every ten.
    # It must be longer than any task, which would run twice otherwise; a task makes way after a
    # minute. The tick may hand out the work anew before that.
    "visibility_timeout": 360,
    "unacked_restore_interval": 10,
    "unacked_restore_throttle": 1,
    # A broker that went away without a word is noticed.
    "socket_connect_timeout": 5,
    "socket_timeout": 30,
    "socket_keepalive": True,
}

CELERY_ACCEPT_CONTENT = ["json"]  # never pickle, which runs whatever a message says
CELERY_TIMEZONE = "UTC"  # beat knows no business days: they are the database's
CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"

# No result backend: what came of a task is in the run journal.
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_DEFAULT_QUEUE = "rewards"
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_REDIRECT_STDOUTS = False  # it would log a traceback sign by sign
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
    "django.contrib.humanize",
    "django.contrib.postgres",
    "axes",
    "csp",
    "django_celery_beat",
    "localservers",
    "rewards_site",
    "rewards",
]

MIDDLEWARE = [
    "csp.middleware.CSPMiddleware",  # first, so that no answer goes out without its policy
    "django.middleware.security.SecurityMiddleware",
    # Serves what collectstatic gathered; in a trial, runserver finds the files itself.
    *([] if DEBUG else ["whitenoise.middleware.WhiteNoiseMiddleware"]),
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "rewards_site.sessions.SessionLimits",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",  # last, as it replaces the answer to a login
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


# --- The admin's looks ------------------------------------------------------------------------


def _page(title: str, icon: str, model: str, page: str = "changelist") -> dict[str, object]:
    """Return a link of the sidebar, shown to those who may see its pages."""
    return {
        "title": title,
        "icon": icon,
        "link": reverse_lazy(f"admin:rewards_{model}_{page}"),
        "permission": lambda request: request.user.has_perm(f"rewards.view_{model}"),
    }


def _superuser_page(title: str, icon: str, view: str) -> dict[str, object]:
    """Return a link of the sidebar, shown to superusers only."""
    return {
        "title": title,
        "icon": icon,
        "link": reverse_lazy(f"admin:{view}"),
        "permission": lambda request: request.user.is_superuser,
    }


UNFOLD = {
    "SITE_TITLE": "Rewards",
    "SITE_HEADER": "Rewards",
    "SITE_SUBHEADER": "What hosts earn, and why",
    "SITE_SYMBOL": "redeem",
    "SITE_URL": None,  # the admin is the site
    "SITE_FAVICONS": [
        {
            "rel": "icon",
            "type": "image/svg+xml",
            "href": lambda request: static("rewards/icon.svg"),
        }
    ],
    "DASHBOARD_CALLBACK": "rewards.admin.dashboard.dashboard",
    "STYLES": [lambda request: static("rewards/admin.css")],
    "SCRIPTS": [lambda request: static("rewards/admin.js")],
    "SIDEBAR": {
        "navigation": [
            {
                "items": [
                    {
                        "title": "Overview",
                        "icon": "dashboard",
                        "link": reverse_lazy("admin:index"),
                    },
                    _page("Rules", "tune", "rewardrule"),
                    _page("Hosts", "headset_mic", "host"),
                    _page("Runs", "play_circle", "awardrun", "journal"),
                ]
            },
            {
                "title": "Ledger",
                "items": [
                    _page("Awards", "receipt_long", "scorehistory"),
                    _page("Leaderboard", "leaderboard", "score", "leaderboard"),
                ],
            },
            {
                "title": "Activity",
                "items": [
                    _page("Daily activity", "calendar_month", "dailyactivity"),
                    _page("Events", "bolt", "activityevent"),
                ],
            },
            {
                "title": "Set-up",
                "items": [
                    _superuser_page("Staff", "badge", "rewards_user_changelist"),
                    _superuser_page("Groups", "group", "auth_group_changelist"),
                    _superuser_page(
                        "Schedule", "schedule", "django_celery_beat_periodictask_changelist"
                    ),
                ],
            },
        ]
    },
}


# --- People -----------------------------------------------------------------------------------

AUTH_USER_MODEL = "rewards.User"
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",  # first, as it only ever refuses
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

SESSION_COOKIE_AGE = 30 * 60  # of an idle session; rewards_site/sessions.py ends busy ones
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_HTTPONLY = True
CSRF_COOKIE_SAMESITE = "Lax"
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"

if not DEBUG:
    SECURE_SSL_REDIRECT = env_bool("SECURE_SSL_REDIRECT", default=True)
    SECURE_HSTS_SECONDS = env_int(
        "SECURE_HSTS_SECONDS", default=31_536_000, least=0, most=63_072_000
    )
    SECURE_HSTS_INCLUDE_SUBDOMAINS = env_bool("SECURE_HSTS_INCLUDE_SUBDOMAINS", default=True)
    SECURE_HSTS_PRELOAD = env_bool("SECURE_HSTS_PRELOAD", default=True)
    # Browsers take a cookie of such a name only over TLS and for this very host.
    SESSION_COOKIE_NAME = "__Host-session"
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_NAME = "__Host-csrf"
    CSRF_COOKIE_SECURE = True
    if env_bool("BEHIND_TLS_PROXY", default=False):
        SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        # Alpine, on which the theme runs, compiles the expressions of its attributes. All
        # scripts are files of this site: no inline ones.
        "script-src": [SELF, UNSAFE_EVAL],
        # The theme sets its colours in a style element and, through Alpine, htmx and Chart.js,
        # sizes in style attributes, with no place for a nonce.
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

TRUSTED_PROXIES = env_int("TRUSTED_PROXIES", default=0, least=0, most=9)
"""How many proxies of ours stand in front, each adding the address it saw to X-Forwarded-For."""

# A name is locked for an address after a few failures, and for all after many: see the handler.
AXES_HANDLER = "rewards_site.lockout.LockoutHandler"
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"], "username"]
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False  # or an attacker could lock out for ever
AXES_RESET_ON_SUCCESS = True
AXES_LOCKOUT_CALLABLE = "rewards_site.lockout.locked_out"
AXES_CLIENT_IP_CALLABLE = "rewards_site.lockout.client_address"
AXES_ENABLE_ADMIN = False  # `manage.py axes_reset_username NAME` unlocks
AXES_DISABLE_ACCESS_LOG = True
AXES_VERBOSE = False


# --- Mail -------------------------------------------------------------------------------------

ADMINS = [("", address) for address in env.list("ADMINS", default=[])]
"""Who gets mail of a run that failed, in whole or in part."""

try:
    vars().update(env.email_url("EMAIL_URL", default="consolemail://" if DEBUG else "smtp://"))
except (ValueError, ImproperlyConfigured):
    # The URL may hold a password, so the message shows nothing of it.
    raise ImproperlyConfigured(
        "EMAIL_URL cannot be read; use smtp+tls://user:password@host:port."
    ) from None
EMAIL_TIMEOUT = 10  # a run must not wait for a mail server that does not answer
SERVER_EMAIL = env.str("SERVER_EMAIL", default="rewards@localhost")


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
            "level": env_level("LOG_LEVEL", default="INFO"),
            "propagate": False,
        }
    },
}
