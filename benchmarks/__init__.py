"""What the engine costs, measured against the best SQL one could write by hand."""
