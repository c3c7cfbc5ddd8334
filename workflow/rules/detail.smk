# Wrinkles and folds on the coarse face: a displacement map per photo, and the network that reads it.


# A shard of any set of reconstructed faces, real or synthetic, in the arrays that training maps into memory.
rule pack_detail:
    input:
        unpack(plan.face_files),
        faces=f"{RESULTS}/coarse/{{set}}/reconstruct_coarse/{{shard}}.parquet",
        arrays=f"{RESULTS}/coarse/{{set}}/reconstruct_coarse/{{shard}}.npz",
        model=rules.prepare_model.output.model,
    output:
        table=f"{RESULTS}/detail/{{set}}/pack_detail/{{shard}}.parquet",
        arrays=directory(f"{RESULTS}/detail/{{set}}/pack_detail/{{shard}}"),
    log:
        f"{RESULTS}/logs/pack_detail/{{set}}/{{shard}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/pack_detail/{{set}}/{{shard}}.tsv"
    conda:
        "../../envs/pack_detail.yaml"
    threads: 1
    resources:
        mem_mb=3000,
        runtime=120,
    params:
        settings=plan.stage("pack_detail"),
        crops_folder=lambda wildcards: plan.crops_folder(wildcards),
        masks_folder=lambda wildcards: plan.masks_folder(wildcards),
        photo_folder=lambda wildcards: plan.photo_folder(wildcards),
        displacement_folder=lambda wildcards: plan.displacement_folder(wildcards),
        code=plan.code("pack_detail"),
    message:
        "pack {wildcards.set}, shard {wildcards.shard}, for the detail network"
    script:
        "../../scripts/pack_detail.py"


# Checkpoints and logs stay in the folder when the rule is interrupted; the next call goes on from them.
rule train_detail:
    input:
        train=lambda wildcards: plan.packed_shards("train_detail", "train"),
        validation=lambda wildcards: plan.packed_shards("train_detail", "validation"),
        held_out=lambda wildcards: plan.held_out("train_detail"),
        model=rules.prepare_model.output.model,
    output:
        weights=f"{RESULTS}/detail/train_detail/network.safetensors",
        metrics=f"{RESULTS}/detail/train_detail/metrics.csv",
        faces=f"{RESULTS}/detail/train_detail/faces.png",
        summary=f"{RESULTS}/detail/train_detail/summary.json",
    log:
        f"{RESULTS}/logs/train_detail.log",
    benchmark:
        f"{RESULTS}/benchmarks/train_detail.tsv"
    conda:
        "../../envs/train_detail.yaml"
    threads: plan.settings.train_detail.processes
    resources:
        mem_mb=8000,
        runtime=7200,
        gpu=plan.gpus * plan.settings.train_detail.processes,
    params:
        settings=plan.stage_with_weights("train_detail", "start"),
        weights=plan.weights_digest("train_detail", "start"),
        model_name=plan.settings.model,
        folder=f"{RESULTS}/detail/train_detail/run",
        device=plan.settings.device,
        code=plan.code("train_detail"),
    message:
        "train the detail network"
    script:
        "../../scripts/train_detail.py"


rule reconstruct_detail:
    input:
        unpack(plan.face_files),
        faces=f"{RESULTS}/coarse/{{set}}/reconstruct_coarse/{{shard}}.parquet",
        arrays=f"{RESULTS}/coarse/{{set}}/reconstruct_coarse/{{shard}}.npz",
        model=rules.prepare_model.output.model,
        trained=plan.own_weights("reconstruct_detail", "network"),
    output:
        table=f"{RESULTS}/detail/{{set}}/reconstruct_detail/{{shard}}.parquet",
        arrays=f"{RESULTS}/detail/{{set}}/reconstruct_detail/{{shard}}.npz",
    log:
        f"{RESULTS}/logs/reconstruct_detail/{{set}}/{{shard}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/reconstruct_detail/{{set}}/{{shard}}.tsv"
    conda:
        "../../envs/reconstruct_detail.yaml"
    threads: 1
    resources:
        mem_mb=3000,
        runtime=240,
        gpu=plan.gpus,
    params:
        settings=plan.stage_with_weights("reconstruct_detail", "network"),
        masks_folder=lambda wildcards: plan.masks_folder(wildcards),
        photo_folder=lambda wildcards: plan.photo_folder(wildcards),
        weights=plan.weights_digest("reconstruct_detail", "network"),
        model_name=plan.settings.model,
        device=plan.settings.device,
        code=plan.code("reconstruct_detail"),
    message:
        "find the detail of {wildcards.set}, shard {wildcards.shard}"
    script:
        "../../scripts/reconstruct_detail.py"
