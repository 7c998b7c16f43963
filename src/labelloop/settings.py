"""The environment as one typed object: where things are kept and where the service listens.

Everything that belongs to one labeling problem is in its project file instead.
"""

import os
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from secrets import token_hex

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from labelloop.disk import home as home_folder

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
"""What numeric libraries read their number of threads from, when they are loaded."""


class Settings(BaseSettings):
    """Read from variables with the prefix LABELLOOP_, such as LABELLOOP_HOME."""

    model_config = SettingsConfigDict(
        env_prefix="LABELLOOP_", extra="ignore", frozen=True, use_attribute_docstrings=True, env_ignore_empty=True
    )

    home: Path = Path(".labelloop")
    """Folder of the database, the features, the models and the embedded Redis."""
    database_url: str | None = None
    """SQLAlchemy URL of PostgreSQL (`postgresql+psycopg://…`). Default: SQLite in the home folder."""
    redis_url: str | None = None
    """URL of a Redis or Valkey server. Default: one of our own, started in the home folder."""
    host: str = "127.0.0.1"
    """Address the service listens on."""
    port: int = Field(default=8321, ge=0, le=65_535)
    """Port the service listens on."""
    url: str | None = None
    """Address of a running service, for the client and the oracles."""
    key: str | None = None
    """API key, for the client and the oracles."""
    secret: str | None = None
    """Secret that API keys are hashed with. Default: made once and kept in the home folder."""
    item_roots: tuple[Path, ...] = ()
    """Folders that items may name files in, as a JSON list; nothing outside is ever read."""
    data: Path | None = None
    """Folder of the example data sets that some project files name as $LABELLOOP_DATA."""
    threads: int = Field(default=1, ge=1, le=256)
    """Numeric threads of each process (BLAS, OpenMP, torch)."""
    max_body: int = Field(default=64 * 1024 * 1024, ge=1024)
    """Largest request body in bytes, streams excepted."""
    log_format: str = Field(default="console", pattern="^(console|json)$")
    """`console` for people, `json` for machines."""
    log_level: str = Field(default="info", pattern="^(debug|info|warning|error)$")
    """Least severe level that is logged."""

    @property
    def database(self) -> str:
        """The database URL in force."""
        return self.database_url or f"sqlite:///{(self.home / 'labelloop.db').absolute()}"

    @cached_property
    def hashing_secret(self) -> bytes:
        """The secret in force; made on first use, readable by its owner only."""
        if self.secret:
            return self.secret.encode()
        path = self.home / "secret"
        if not path.exists():
            home_folder.make_writable(self.home)
            # Written whole before it gets its name, and a name is given once: of two processes that start together
            # both read the same.
            draft = path.with_name(f"secret.{os.getpid()}")
            with os.fdopen(os.open(draft, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as file:
                file.write(token_hex(32))
            with suppress(FileExistsError):
                path.hardlink_to(draft)
            draft.unlink()
        return path.read_text().encode()
