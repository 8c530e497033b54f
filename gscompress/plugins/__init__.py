"""What other software loads of gscompress through entry points."""
