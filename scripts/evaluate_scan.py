"""A predicted surface against a scan in the same frame.

input: prediction, scan (mesh files, millimetres)
output: summary (evaluation/scans/<name>.json), curve (evaluation/scans/<name>/curve.svg), heat_map
    (evaluation/scans/<name>/heat_map.png)
params: settings (evaluate_scan), origin (evaluation.scans.<name>.origin)
wildcards: name
"""

from facemill.evaluation.scans import evaluate_scan, write_scan
from facemill.evaluation.settings import ScanSettings
from facemill.formats.meshes import read_mesh
from facemill.runtime.devices import use_threads
from facemill.runtime.logs import log_to

log_to(snakemake.log[0])
use_threads(snakemake.threads)
settings = ScanSettings(**snakemake.params.settings)
scan = read_mesh(snakemake.input.scan)
comparison = evaluate_scan(
    read_mesh(snakemake.input.prediction),
    scan,
    settings,
    names=(snakemake.input.prediction, snakemake.input.scan),
)
write_scan(
    comparison,
    scan,
    settings,
    origin=snakemake.params.origin,
    name=snakemake.wildcards.name,
    summary=snakemake.output.summary,
    curve=snakemake.output.curve,
    picture=snakemake.output.heat_map,
)
