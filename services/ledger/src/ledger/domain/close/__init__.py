"""The daily close as rules: what owners told and what the ledger posted, compared without any I/O."""
