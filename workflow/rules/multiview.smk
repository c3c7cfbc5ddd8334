# Captures: one head from several sides, with cameras or without, becomes a base mesh and its UV maps. A
# capture that cannot go on keeps its files, with a status and a reason in them.


rule calibrate_capture:
    input:
        manifest=f"{RESULTS}/multiview/plan/{{capture}}.json",
    output:
        cameras=f"{RESULTS}/multiview/{{capture}}/calibrate_capture/cameras.json",
        report=f"{RESULTS}/multiview/{{capture}}/calibrate_capture/report.json",
    log:
        f"{RESULTS}/logs/calibrate_capture/{{capture}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/calibrate_capture/{{capture}}.tsv"
    conda:
        "../../envs/calibrate_capture.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=240,
    params:
        settings=plan.stage("calibrate_capture"),
        code=plan.code("calibrate_capture"),
    message:
        "find the cameras of {wildcards.capture}"
    script:
        "../../scripts/calibrate_capture.py"


rule prepare_capture:
    input:
        manifest=f"{RESULTS}/multiview/plan/{{capture}}.json",
        made=lambda wildcards: list(plan.capture(wildcards.capture).made_by),
        calibrated=lambda wildcards: plan.calibrated_files(wildcards.capture),
    output:
        capture=f"{RESULTS}/multiview/{{capture}}/prepare_capture/capture.json",
        views=directory(f"{RESULTS}/multiview/{{capture}}/prepare_capture/views"),
    log:
        f"{RESULTS}/logs/prepare_capture/{{capture}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/prepare_capture/{{capture}}.tsv"
    conda:
        "../../envs/prepare_capture.yaml"
    threads: 1
    resources:
        mem_mb=3000,
        runtime=60,
    params:
        settings=plan.stage("prepare_capture"),
        code=plan.code("prepare_capture"),
    message:
        "undistort the photos of {wildcards.capture}"
    script:
        "../../scripts/prepare_capture.py"


rule tabulate_captures:
    input:
        prepared=plan.multiview_files("{capture}/prepare_capture/capture.json"),
        reports=plan.calibration_reports(),
    output:
        table=f"{RESULTS}/multiview/captures.csv",
    log:
        f"{RESULTS}/logs/tabulate_captures.log",
    benchmark:
        f"{RESULTS}/benchmarks/tabulate_captures/captures.tsv"
    conda:
        "../../envs/tabulate_captures.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        people={name: capture.person for name, capture in plan.captures.items()},
        code=plan.code("tabulate_captures"),
    message:
        "list what became of each capture"
    script:
        "../../scripts/tabulate_captures.py"
