"""Owns reading trades: by id, by quote, and as a list. An intent that is not reserved yet appears in none of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from poolkit.database import Database
from poolkit.errors import DomainError, IdempotencyInProgress, NotFound
from trade.domain import cursor
from trade.domain.intent import IntentState
from trade.domain.trade import Trade
from trade.store import intents, trades


async def get_trades(database: Database, asked: Sequence[tuple[str, str]]) -> list[Trade | DomainError]:
    """Reads trades by (organization, trade id)."""
    found = await trades.find_by_id(database, [trade_id for _, trade_id in asked])
    return [_owned(found.get(trade_id), organization_id) for organization_id, trade_id in asked]


async def get_transactions(database: Database, asked: Sequence[tuple[str, str]]) -> list[Trade | DomainError]:
    """Reads trades by (organization, quote id); `idempotency_in_progress` while the intent runs or declines."""
    known = await intents.find_by_quote(database, asked)
    reserved = [intent.trade_id for intent in known if intent is not None and intent.state is IntentState.RESERVED]
    found = await trades.find_by_id(database, reserved) if reserved else {}
    answers: list[Trade | DomainError] = []
    for intent, (organization_id, _) in zip(known, asked, strict=True):
        if intent is not None and intent.in_progress:
            answers.append(IdempotencyInProgress())
        else:
            answers.append(_owned(found.get(intent.trade_id) if intent else None, organization_id))
    return answers


def _owned(trade: Trade | None, organization_id: str) -> Trade | DomainError:
    return trade if trade is not None and trade.organization_id == organization_id else NotFound(resource="trade")


@dataclass(frozen=True, slots=True)
class Page:
    """A page of trades, newest first; the token is empty on the last one."""

    trades: list[Trade]
    next_token: str


async def list_trades(
    database: Database, organization_id: str, *, size: int, token: str, matching: trades.TradeFilter
) -> Page:
    """Lists an organization's trades, newest first. Raises InvalidRequest for a token of another list."""
    of_list = ("trades", organization_id, *matching.texts)
    before = cursor.read(token, *of_list) if token else None
    found = await trades.list_page(database, organization_id, before=before, matching=matching, limit=size + 1)
    shown = found[:size]
    return Page(shown, _token_after(shown[-1], of_list) if len(found) > size else "")


@dataclass(frozen=True, slots=True)
class OverduePage:
    """A page of trades that wait for their report, the oldest first; the token is empty on the last one."""

    trades: list[trades.OverdueTrade]
    next_token: str


async def list_overdue(database: Database, *, age_seconds_min: float, size: int, token: str) -> OverduePage:
    """Lists trades still reserved after a while. Raises InvalidRequest for a token of another list."""
    of_list = ("overdue trades",)
    after = cursor.read(token, *of_list) if token else None
    found = await trades.list_overdue(database, age_seconds_min=age_seconds_min, after=after, limit=size + 1)
    shown = found[:size]
    return OverduePage(shown, _token_after(shown[-1], of_list) if len(found) > size else "")


def _token_after(last: Trade | trades.OverdueTrade, of_list: Sequence[str]) -> str:
    return cursor.make(cursor.Position(last.created_at, last.trade_id), *of_list)
