"""The store: SQLAlchemy Core over SQLite or PostgreSQL. `store.open_store` is the door."""
