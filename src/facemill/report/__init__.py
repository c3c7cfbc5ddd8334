"""The report: one self-contained page about a run, made from what the stages wrote."""
