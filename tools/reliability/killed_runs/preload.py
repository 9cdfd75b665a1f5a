"""Imports slow modules in the process that children are forked from, and nothing that starts TensorFlow."""

from tfcore.build import importing

importing.import_tensorflow_for_good()

import tensorboard.backend.event_processing.event_file_loader  # noqa: E402, F401

import tfcore.run.session  # noqa: E402, F401
