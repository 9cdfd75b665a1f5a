"""Figures of speed, memory and cost."""
