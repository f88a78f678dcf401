"""The only writers: each function does one thing that someone asked for, whole or not at all."""
