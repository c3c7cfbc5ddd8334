# The morphable model of the run.


rule prepare_model:
    input:
        head=ROOT / "resources" / "models" / "head.npz",
    output:
        model=f"{RESULTS}/models/{plan.settings.model}.npz",
    params:
        code=plan.code("prepare_model"),
    log:
        f"{RESULTS}/logs/prepare_model.log",
    benchmark:
        f"{RESULTS}/benchmarks/prepare_model/{plan.settings.model}.tsv"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    conda:
        "../../envs/prepare_model.yaml"
    message:
        "expand the morphable model"
    script:
        "../../scripts/prepare_model.py"
