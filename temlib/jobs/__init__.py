"""Jobs: what runs over many files or many frames, and goes on after a stop."""
