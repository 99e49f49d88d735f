"""How services talk: the server and channels they all use, and the one translation between protobuf and poolkit."""
