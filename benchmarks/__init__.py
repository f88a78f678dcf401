"""The cost of the engine, compared with hand-written SQL."""
