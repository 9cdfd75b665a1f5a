"""The commands: flags in, exit status out."""
