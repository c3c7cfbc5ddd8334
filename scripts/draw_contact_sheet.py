"""The overview of a set of synthetic photographs.

input: tables, pictures (of synthesize_photos, all shards)
output: sheet
params: settings
"""

from facemill.runtime.logs import log_to
from facemill.runtime.tables import read_table
from facemill.synthesis.contact_sheet import draw_contact_sheet, write_sheet
from facemill.synthesis.settings import ContactSheetSettings

log_to(snakemake.log[0])
settings = ContactSheetSettings(**snakemake.params.settings)
tables = list(map(read_table, snakemake.input.tables))
write_sheet(snakemake.output.sheet, draw_contact_sheet(tables, snakemake.input.pictures, settings))
