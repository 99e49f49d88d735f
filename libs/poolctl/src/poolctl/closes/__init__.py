"""What finance gets of a daily close: one JSON document, one CSV table, or one page to read and print."""
