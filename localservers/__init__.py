"""Private PostgreSQL and Valkey servers for trials and tests.

Nothing here depends on the project. Error messages name the settings by which a site chooses its
servers: DATABASE_URL, CELERY_BROKER_URL and LOCALDB_DIR.
"""
