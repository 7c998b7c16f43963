"""Opens the store: one database behind the narrow ports that the loop knows."""

from dataclasses import dataclass, field

from sqlalchemy import Engine

from labelloop.adapters.sql.database import Database
from labelloop.adapters.sql.engine import open_engine
from labelloop.adapters.sql.jobs import SqlJobs
from labelloop.adapters.sql.keys import SqlKeys
from labelloop.adapters.sql.ledger import SqlLedger
from labelloop.adapters.sql.migrations import upgrade
from labelloop.adapters.sql.models import SqlModels
from labelloop.adapters.sql.pool import SqlPool
from labelloop.adapters.sql.projects import SqlProjects
from labelloop.adapters.sql.removal import SqlRemovals
from labelloop.adapters.sql.rounds import SqlRounds
from labelloop.adapters.sql.verdicts import SqlVerdicts


@dataclass(slots=True)
class Store:
    """The adapters over one database. Safe to share among threads; a forked child begins with fresh connections."""

    database: Database
    projects: SqlProjects = field(init=False)
    pool: SqlPool = field(init=False)
    ledger: SqlLedger = field(init=False)
    verdicts: SqlVerdicts = field(init=False)
    rounds: SqlRounds = field(init=False)
    models: SqlModels = field(init=False)
    jobs: SqlJobs = field(init=False)
    keys: SqlKeys = field(init=False)
    removals: SqlRemovals = field(init=False)

    def __post_init__(self) -> None:
        self.projects = SqlProjects(self.database)
        self.pool = SqlPool(self.database)
        self.ledger = SqlLedger(self.database)
        self.verdicts = SqlVerdicts(self.database)
        self.rounds = SqlRounds(self.database)
        self.models = SqlModels(self.database)
        self.jobs = SqlJobs(self.database)
        self.keys = SqlKeys(self.database)
        self.removals = SqlRemovals(self.database)

    @property
    def engine(self) -> Engine:
        """For checks and metrics; the adapters write."""
        return self.database.engine

    def close(self) -> None:
        """Finish what was begun and close the connections."""
        self.database.close()


def open_store(url: str) -> Store:
    """Open a database by URL, bring its tables up to date and return the store.

    Several processes may do so at once: one migrates, the others wait.

    Raises:
        Invalid: the URL is of another kind, a driver is missing, or the tables are of a newer version of labelloop.
        Unavailable: the database does not answer.
    """
    engine = open_engine(url)
    try:
        upgrade(engine)
    except BaseException:
        engine.dispose()
        raise
    return Store(Database(engine))
