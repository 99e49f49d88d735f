"""What a close reads of the ledger's own rows, and the closes themselves."""
