"""What takes too long for the suite: run by hand, each says what it saw and fails loudly."""
