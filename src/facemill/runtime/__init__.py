"""What every stage needs to run: errors, safe files, tables, logs, seeds, devices, digests."""
