"""Pure rules: no I/O, no framework, no protobuf; the same input gives the same output."""
