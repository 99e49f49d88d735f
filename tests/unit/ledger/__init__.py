"""The ledger rules: postings, chains, ids, holds and references."""
