# The morphable model of the run.


# Makes what resources/models/ ships; nothing asks for it, name its output to build the head again.
rule build_head_model:
    input:
        anthropometry=ROOT / "resources" / "models" / "anthropometry.csv",
    output:
        head=f"{RESULTS}/build_head_model/head.npz",
        table=f"{RESULTS}/build_head_model/anthropometry.csv",
    log:
        f"{RESULTS}/logs/build_head_model.log",
    benchmark:
        f"{RESULTS}/benchmarks/build_head_model/head.tsv"
    conda:
        "../../envs/build_head_model.yaml"
    threads: 2
    resources:
        mem_mb=8000,
        runtime=60,
    params:
        settings=plan.stage("build_head_model"),
        code=plan.code("build_head_model"),
    message:
        "build the embedded head from MakeHuman's CC0 data"
    script:
        "../../scripts/build_head_model.py"


rule prepare_model:
    input:
        head=ROOT / "resources" / "models" / "head.npz",
    output:
        model=f"{RESULTS}/models/{plan.settings.model}.npz",
    log:
        f"{RESULTS}/logs/prepare_model.log",
    benchmark:
        f"{RESULTS}/benchmarks/prepare_model/{plan.settings.model}.tsv"
    conda:
        "../../envs/prepare_model.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        code=plan.code("prepare_model"),
    message:
        "expand the morphable model"
    script:
        "../../scripts/prepare_model.py"
