"""The durable side: SQLAlchemy Core on SQLite (WAL) or PostgreSQL. Functions take a connection; `Database`
gives it.
"""
