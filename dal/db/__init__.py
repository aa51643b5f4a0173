"""MySQL: the engine, the schema, and one module of queries per table family. The one owner of SQLAlchemy."""
