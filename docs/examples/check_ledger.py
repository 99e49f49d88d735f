"""Checks an export of your ledger: python check_ledger.py EXPORT.csv|EXPORT.jsonl [LINK KEPT FROM AN EARLIER ONE]."""

import csv
import json
import sys
from decimal import Decimal
from hashlib import sha256
from pathlib import Path


def digest(*lines: str) -> bytes:
    return sha256("\n".join(lines).encode()).digest()


link, count, balances, kept = b"", 0, dict[str, Decimal](), sys.argv[2:]
with Path(sys.argv[1]).open(encoding="utf-8", newline="") as file:
    for row in csv.DictReader(file) if sys.argv[1].endswith(".csv") else map(json.loads, file):
        names = ("ref", "organizationId", "businessDate", "reason", "eventId", "transactId", "quoteId", "requestId")
        own = ["1", f"{row['id']} {row['currency']} {row['delta']}"] if row["id"] else ["0"]
        facts = [row[name] or "" for name in names]
        half = digest("0pools-ledger-partner-1", *facts, *own, row["clientReference"] or "")
        link = link or digest("0pools-ledger-chain-1", row["organizationId"])
        link, count = sha256(link + half + bytes.fromhex(row["othersDigest"])).digest(), count + 1
        balance = balances.get(row["currency"], Decimal(0)) + Decimal(row["delta"] or 0)
        balances[row["currency"]] = balance
        if (str(row["sequence"]), row["link"], Decimal(row["balanceAfter"] or 0)) != (str(count), link.hex(), balance):
            sys.exit(f"Transaction {row['sequence']} ({row['ref']}) does not follow from those before it.")
        kept = [earlier for earlier in kept if earlier != link.hex()]
sys.exit("The link you kept is not in this chain any more: its past was changed.") if kept else None
print(f"{count} transactions follow from one another. Keep the last link for the next time:", link.hex())
