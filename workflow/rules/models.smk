# The morphable model of the run.


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
