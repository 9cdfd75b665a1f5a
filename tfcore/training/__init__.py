"""The step, the loop, and what happens around it; it knows no model, optimizer or data set by name."""
