"""What each command of the command line does. Options and their help are in `oration.cli`."""
