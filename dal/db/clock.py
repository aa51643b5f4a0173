"""The database's clock: the one that all instances share, whatever their own clocks say."""

from sqlalchemy import BigInteger, literal_column

# UTC_TIMESTAMP does not depend on the session's time zone; both servers know these functions.
DATABASE_NOW_MS = literal_column(
    "(TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(3)) DIV 1000)", BigInteger
)
