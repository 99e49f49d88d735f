"""The command line's pure parts: trees, figures, searches and the words it prints."""
