"""One module per larger sub-command of the command line; each imports what it needs when it runs."""
