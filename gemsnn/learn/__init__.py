"""Learning: whole recordings in epochs, or a stream without end."""
