"""What a file is: its shots, and the flags an encoder needs for it."""
