"""What attacks on engine, readers, writers and server still achieve."""
