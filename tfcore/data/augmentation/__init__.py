"""Augmentation of training batches: functions of pictures and of random numbers that belong to each example."""
