"""The use case of treasury movements: inventory and the event that tells of it change in one transaction, once."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from typing import Final, Protocol

from poolkit import outbox
from poolkit.database import Database, Unit
from poolkit.errors import DomainError, IdempotencyConflict, InvalidRequest, NotFound
from poolkit.ids import event_id
from poolkit.money import ZERO, format_amount
from poolkit.outbox import OutboxEvent
from quote.app.contention import when_contended_again
from quote.domain.inventory import Inventory
from quote.store import inventory, treasury
from quote.store.treasury import KnownMovement, Moved, Movement

Answer = Inventory | DomainError

EVENT_TYPE: Final = "treasury.moved"


class EncodeMovement(Protocol):
    """Makes the event that tells of a movement."""

    def __call__(self, moved: Moved) -> OutboxEvent:
        """The event, as the outbox keeps it."""


async def move_treasury(database: Database, movements: Sequence[Movement], *, encode: EncodeMovement) -> list[Answer]:
    """Makes each movement, in order; a refused one fails alone and binds nothing. Safe to repeat by movement id."""
    return await when_contended_again(lambda: _move_treasury(database, movements, encode))


async def _move_treasury(database: Database, movements: Sequence[Movement], encode: EncodeMovement) -> list[Answer]:
    async with database.transaction() as unit:
        books = await _Books.open(unit, movements)
        made: list[Moved] = []
        answers: list[Answer] = []
        for movement in movements:
            try:
                stock = books.made_before(movement)
                if stock is None:
                    stock = books.move(movement)
                    event = event_id(movement.movement_id, EVENT_TYPE)
                    made.append(Moved(movement, event, books.business_date, books.now, stock))
                answers.append(stock)
            except DomainError as error:
                answers.append(error)
        if made:
            await treasury.move_inventory(unit, made)
            await outbox.append(unit, [encode(moved) for moved in made])
        await unit.commit()
    return answers


class _Books:
    """What a batch of movements is judged by: the stocks, locked, and the movements made before."""

    def __init__(
        self,
        currencies: dict[str, frozenset[str]],
        stocks: dict[tuple[str, str], Inventory],
        known: dict[str, KnownMovement],
        now: datetime,
        business_date: date,
    ) -> None:
        self._currencies = currencies
        self._stocks = stocks
        self._known = known
        self.now = now
        self.business_date = business_date

    @classmethod
    async def open(cls, unit: Unit, movements: Sequence[Movement]) -> "_Books":
        """Locks the stocks before looking for known movements: two of one id wait for each other here."""
        stocks = await inventory.lock(unit, {(movement.pool_id, movement.currency) for movement in movements})
        known = await treasury.known(unit, [movement.movement_id for movement in movements])
        currencies = await treasury.currencies(unit, [movement.pool_id for movement in movements])
        return cls(currencies, stocks, known, *await treasury.clock(unit))

    def made_before(self, movement: Movement) -> Inventory | None:
        """The earlier answer, also to a movement earlier in the batch. Raises IdempotencyConflict for other fields."""
        known = self._known.get(movement.movement_id)
        if known is None:
            return None
        if (known.inventory.pool_id, known.currency, known.amount) != (
            movement.pool_id,
            movement.currency,
            movement.amount,
        ):
            raise IdempotencyConflict("The movement id was used with another pool, currency or amount.")
        return known.inventory

    def move(self, movement: Movement) -> Inventory:
        """The inventory after the movement. Raises NotFound, InvalidRequest (also for drawing more than is free)."""
        currencies = self._currencies.get(movement.pool_id)
        if currencies is None:
            raise NotFound("pool", detail=f"There is no pool {movement.pool_id!r}.")
        if movement.currency not in currencies:
            raise InvalidRequest(f"the pool holds {' and '.join(sorted(currencies))}.", field="amount.currency")
        stock = movement.pool_id, movement.currency
        after = _added(self._stocks[stock], movement.amount)
        if movement.amount < 0 and after.free < 0:
            free = format_amount(max(self._stocks[stock].free, ZERO), movement.currency)
            raise InvalidRequest(
                f"only {free} {movement.currency} of the pool is free, the rest is promised; draw at most this.",
                field="amount",
            )
        self._stocks[stock] = after
        self._known[movement.movement_id] = KnownMovement(movement.currency, movement.amount, after)
        return after


def _added(row: Inventory, amount: Decimal) -> Inventory:
    """The same arithmetic as the statement's: what is owed is paid first."""
    promised = row.held + row.committed
    net = row.total - row.owed + amount
    total = max(net, promised)
    return replace(row, total=total, owed=total - net)
