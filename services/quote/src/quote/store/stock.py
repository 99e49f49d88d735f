"""The SQL that every statement moving inventory shares: rows locked in one order, then added to in one UPDATE."""

FREE = "i.total - i.held - i.committed - i.owed"
"""What quotes may still promise; `i` is the inventory row."""

HOLD = """CASE q.side WHEN 'on_ramp' THEN q.crypto_currency ELSE q.fiat_currency END AS currency,
       CASE q.side WHEN 'on_ramp' THEN q.crypto_amount ELSE q.fiat_amount END AS amount"""
"""What a quote `q` takes out of its pool: crypto to deliver, or fiat as the limit of payouts."""


def move(assignments: str, *, condition: str = "true") -> str:
    """Two CTEs, `locked` and `moved`, that change inventory `i` by the rows `l` of the CTE `changes`.

    `changes` has one row a (pool_id, currency). Rows are locked in the order of their keys, so that no two statements
    can wait for each other in a circle, and last of all, since every quote of a pool goes through its two rows.
    `condition` is judged on the row as it is once it is locked.
    """
    return f"""locked AS MATERIALIZED (
    SELECT l.* FROM inventory i JOIN changes l ON l.pool_id = i.pool_id AND l.currency = i.currency
    WHERE {condition}
    ORDER BY i.pool_id, i.currency FOR UPDATE OF i
), moved AS (
    UPDATE inventory i SET {assignments} FROM locked l
    WHERE i.pool_id = l.pool_id AND i.currency = l.currency
    RETURNING i.pool_id, i.currency
)"""  # noqa: S608 - our own column names


def summed(source: str) -> str:
    """The CTE `changes`: what the rows of the CTE `source` come to."""
    return f"""changes AS (
    SELECT pool_id, currency, sum(amount) AS amount FROM {source} GROUP BY pool_id, currency
)"""  # noqa: S608 - our own names


def move_total(total: str, *, committed: str = "0") -> str:
    """Assignments that add to the total, and to what is committed, without ever breaking a promise.

    The total less what is owed is what really lies there and in the ledger; where that is less than what is promised,
    the total stays at the promise and the difference is owed.
    """
    net = f"i.total - i.owed + {total}"
    promised = f"i.held + i.committed + {committed}"
    return f"""committed = i.committed + {committed},
        total = greatest({net}, {promised}), owed = greatest({net}, {promised}) - ({net})"""


def count_days(movements: str) -> str:
    """The CTE `days`, behind `move`: each movement is added to its business date.

    `movements` has a row (pool_id, currency, amount, business_date) for every movement. Nothing is added before the
    rows of inventory are locked, so that whoever adds to a day goes through the same lock, in the same order.
    """
    return f"""days AS (
    INSERT INTO inventory_days AS d (pool_id, currency, business_date, amount, movement_count)
    SELECT m.pool_id, m.currency, m.business_date, sum(m.amount), count(*) FROM {movements} AS m
    WHERE m.amount <> 0 AND (SELECT count(*) FROM moved) >= 0
    GROUP BY m.pool_id, m.currency, m.business_date
    ON CONFLICT (pool_id, currency, business_date) DO UPDATE
    SET amount = d.amount + excluded.amount, movement_count = d.movement_count + excluded.movement_count
)"""  # noqa: S608 - our own names
