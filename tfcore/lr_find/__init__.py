"""The learning rate range test: trains with a rising rate, and reads rates off the losses."""
