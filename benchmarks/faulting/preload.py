"""For the process that children are forked from: what takes long to import, and nothing that starts TensorFlow."""

from tfcore.commands import quiet

quiet.import_tensorflow_for_good()

import tensorboard.backend.event_processing.event_file_loader  # noqa: E402, F401

import tfcore.commands.session  # noqa: E402, F401
