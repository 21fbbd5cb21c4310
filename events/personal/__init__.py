"""What is held about one person, wherever it lies: told whole, and removed."""
