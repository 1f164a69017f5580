"""Every option, declared once. Nothing heavy is imported here, so that `vshdr --help` answers at once."""
